// Rates, sizes and delays that all parts of a stream share.
#pragma once

#include <cstdint>

namespace voxhop {

struct StreamClock {
  int64_t rate = 48000;         // of the caller, Hz
  int64_t model_rate = 16000;   // Hz
  int64_t hop = 256;            // samples at model_rate
  int64_t model_latency = 256;  // samples at model_rate
  int64_t lookahead = 0;        // samples at model_rate by which the microphone waits
  int64_t latency = 0;          // samples at `rate`: what stream_latency() says
};

/// Samples at the caller's rate by which every stream of this clock delays its
/// microphone, whatever the block lengths: the least that always has an output sample
/// ready for an input sample. Exact; the formula is in docs/stream.md.
int64_t stream_latency(const StreamClock & clock);

}  // namespace voxhop
