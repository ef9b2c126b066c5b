#include "stream/clock.h"

#include <algorithm>
#include <numeric>

#include "dsp/resampler.h"

namespace voxhop {

// Output sample n (time n of the microphone) needs model sample
//   k = floor(n up / down) + W_up, which hop (k + lookahead + model_latency) / hop brings,
// and that hop runs when the last of its input samples has passed the down-sampler.
int64_t stream_latency(const StreamClock & clock) {
  const Resampler down(clock.rate, clock.model_rate), up(clock.model_rate, clock.rate);
  int64_t latency = 0;
  // After this many samples both rates and the hop are back in step.
  const int64_t period = clock.rate / std::gcd(clock.rate, clock.model_rate) * clock.hop;
  for (int64_t n = 0; n < period; ++n) {
    const int64_t last = up.input_needed(n) - 1;
    const int64_t hops = (last + clock.lookahead + clock.model_latency) / clock.hop + 1;
    const int64_t input = down.input_needed(hops * clock.hop - 1);
    latency = std::max(latency, input - 1 - n);
  }
  return latency;
}

}  // namespace voxhop
