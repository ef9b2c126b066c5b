#include "stream/far_end.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace voxhop {
namespace {

// The probe looks a little further than the longest delay, so that a drift away from it
// is still followed.
constexpr double kRange = 1e-3 * kMostDelayMs + 0.04;  // s
constexpr double kUnrelatedFadeHops = 8.0;
constexpr int64_t kRoomHops = 5;      // by which the room draws out the echo of a gap
constexpr double kEchoIsThere = 0.3;  // confidence of the probe

// Samples of the reference that must stay readable behind the newest.
int64_t history_samples(const StreamClock & clock) {
  const double seconds = kRange + 0.1;
  return static_cast<int64_t>(seconds * static_cast<double>(clock.model_rate)) + clock.lookahead;
}

RefConfig ref_config(const StreamClock & clock, const vh_stream_options & options) {
  RefConfig config;
  config.rate = clock.rate;
  config.model_rate = clock.model_rate;
  config.history = history_samples(clock);
  config.hop = clock.hop;
  config.policy = static_cast<MissingRef>(options.missing_ref);
  return config;
}

AlignerConfig aligner_config(const StreamClock & clock, const vh_stream_options & options,
                             int64_t align_taps) {
  AlignerConfig config;
  config.rate = clock.model_rate;
  config.hop = clock.hop;
  config.window_s =
      static_cast<double>(align_taps * clock.hop) / static_cast<double>(clock.model_rate);
  config.automatic = std::isnan(options.delay_ms);
  config.delay_s = config.automatic ? 0.0 : options.delay_ms * 1e-3;
  // A waiting microphone makes every delay longer by its wait.
  config.range_s = kRange + options.lookahead_ms * 1e-3;
  return config;
}

}  // namespace

FarEnd::FarEnd(const StreamClock & clock, const vh_stream_options & options, int64_t align_taps)
    : clock_(clock),
      keep_unrelated_(options.keep_unrelated != 0),
      history_(history_samples(clock)),
      input_(ref_config(clock, options), HighPass(clock.rate, options.highpass_hz)),
      aligner_(aligner_config(clock, options, align_taps)),
      aligned_(static_cast<size_t>(clock.hop)) {}

void FarEnd::reset() noexcept {
  input_.reset();
  aligner_.reset();
  gain_ = 1.0f;
  hops_ = late_ = 0;
}

int64_t FarEnd::pre_delay() const noexcept {
  return static_cast<int64_t>(aligner_.pre_delay_s() * static_cast<double>(clock_.model_rate));
}

const float * FarEnd::hop(const float * mic) noexcept {
  const int64_t late = aligner_.process(mic, input_.line(), hops_ * clock_.hop, aligned_.data());
  ++hops_;
  late_ += late;
  if (late > 0) {
    input_.gaps().add(input_.line().write_index(), hop_start() + clock_.hop - pre_delay());
  }
  fade_unrelated();
  return aligned_.data();
}

void FarEnd::fade_unrelated() noexcept {
  const float goal = aligner_.unrelated() && !keep_unrelated_ ? 0.0f : 1.0f;
  if (gain_ == 1.0f && goal == 1.0f) return;
  const auto step =
      static_cast<float>(1.0 / (kUnrelatedFadeHops * static_cast<double>(clock_.hop)));
  for (float & x : aligned_) {
    gain_ += std::clamp(goal - gain_, -step, step);
    x *= gain_;
  }
}

bool FarEnd::echo_expected() const noexcept {
  return aligner_.automatic() && aligner_.tracker().confidence() > kEchoIsThere;
}

bool FarEnd::gap_remembered() const noexcept {
  return input_.gaps().any(hop_start() - history_, hop_start() + clock_.hop);
}

// The output is made of the frames before and after it.
bool FarEnd::echo_of_a_gap(int64_t model_delay) const noexcept {
  const int64_t lag =
      aligner_.automatic() && aligner_.tracker().locked()
          ? static_cast<int64_t>(aligner_.echo_delay_s() * static_cast<double>(clock_.model_rate))
          : pre_delay() + std::max<int64_t>(0, model_delay) * clock_.hop;
  const int64_t begin = hop_start() - clock_.model_latency - kRoomHops * clock_.hop - lag;
  return input_.gaps().any(begin, hop_start() + clock_.hop - lag);
}

void FarEnd::read_metrics(vh_stream_metrics & m) const noexcept {
  constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();
  m.ref_missing_frames = input_.missing_samples();
  m.ref_late_frames = late_;
  m.ref_dropped_frames = input_.dropped();
  m.ref_buffered_frames = input_.buffered();
  m.ref_missing = input_.missing() ? 1 : 0;
  const DelayTracker & tracker = aligner_.tracker();
  const double lookahead_s =
      static_cast<double>(clock_.lookahead) / static_cast<double>(clock_.model_rate);
  m.delay_ms = tracker.locked() ? 1e3 * (aligner_.echo_delay_s() - lookahead_s) : kNotANumber;
  m.delay_confidence = tracker.confidence();
  m.drift_ppm = tracker.drift_known() ? tracker.drift_ppm() : kNotANumber;
  m.pre_delay_ms = 1e3 * aligner_.pre_delay_s();
  m.realignments = aligner_.jumps();
  m.ref_unrelated = aligner_.unrelated() ? 1 : 0;
}

}  // namespace voxhop
