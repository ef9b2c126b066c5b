#include "delay/probe_clip.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/status.h"
#include "delay/delay_probe.h"
#include "delay/delay_tracker.h"

namespace voxhop {
namespace {

constexpr int64_t kLowestRate = 8000, kHighestRate = 192000;
constexpr int64_t kStepsPerSecond = 125;  // 8 ms: what the probe takes at a time
constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

void check(const vh_delay_options & options, int64_t n, int64_t rate) {
  VH_CHECK(rate >= kLowestRate && rate <= kHighestRate, VH_E_UNSUPPORTED,
           "sample_rate: %lld Hz, expected 8000 to 192000", static_cast<long long>(rate));
  VH_CHECK(options.range_ms >= 100.0 && options.range_ms <= 5000.0, VH_E_ARGUMENT,
           "range_ms: %g, expected 100 to 5000", options.range_ms);
  VH_CHECK(options.advance_ms >= 0.0 && options.advance_ms <= 5000.0, VH_E_ARGUMENT,
           "advance_ms: %g, expected 0 to 5000", options.advance_ms);
  VH_CHECK(n >= rate, VH_E_SHAPE, "%lld samples at %lld Hz, expected at least a second",
           static_cast<long long>(n), static_cast<long long>(rate));
}

// A recording from `start` on, with zeros outside and in place of what is not finite.
void copy_clip(const float * x, int64_t n, int64_t start, std::vector<float> & out) {
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t at = start + static_cast<int64_t>(i);
    const bool inside = at >= 0 && at < n && std::isfinite(x[at]);
    out[i] = inside ? x[at] : 0.0f;
  }
}

}  // namespace

vh_delay_estimate probe_clip(const float * mic, const float * ref, int64_t n, int64_t rate,
                             const vh_delay_options & options,
                             std::vector<vh_delay_point> & points) {
  check(options, n, rate);
  const double advance_s = options.advance_ms * 1e-3;
  const auto wait = static_cast<int64_t>(std::llround(advance_s * static_cast<double>(rate)));
  const double shift_s = static_cast<double>(wait) / static_cast<double>(rate);
  const int64_t step = rate / kStepsPerSecond;
  DelayProbe probe(rate, options.range_ms * 1e-3 + shift_s);
  DelayTracker tracker;
  std::vector<float> mic_step(static_cast<size_t>(step)), ref_step(static_cast<size_t>(step));
  int64_t jumps = 0;
  bool found = false;
  for (int64_t at = 0; at < n + wait; at += step) {
    const double now_s = static_cast<double>(at + step) / static_cast<double>(rate);
    copy_clip(mic, n, at - wait, mic_step);
    copy_clip(ref, n, at, ref_step);
    if (!probe.process(mic_step.data(), ref_step.data(), step, tracker.lag_at(now_s))) continue;
    if (tracker.update(probe.scan())) {
      jumps += found ? 1 : 0;
      found = true;
    }
    const double delay_ms = found ? 1e3 * (tracker.lag_at(now_s) - shift_s) : kNotANumber;
    points.push_back({now_s - shift_s, delay_ms, tracker.confidence()});
  }
  const double end_s = static_cast<double>(n + wait) / static_cast<double>(rate);
  vh_delay_estimate estimate{};
  estimate.found = found ? 1 : 0;
  estimate.delay_ms = found ? 1e3 * (tracker.lag_at(end_s) - shift_s) : kNotANumber;
  estimate.start_delay_ms = found ? 1e3 * (tracker.lag_at(shift_s) - shift_s) : kNotANumber;
  estimate.confidence = tracker.confidence();
  estimate.drift_ppm = tracker.drift_known() ? tracker.drift_ppm() : kNotANumber;
  const double low = std::min(estimate.delay_ms, estimate.start_delay_ms);
  const double high = std::max(estimate.delay_ms, estimate.start_delay_ms);
  estimate.in_window = found && low >= 0.0 && high <= options.window_ms ? 1 : 0;
  estimate.jumps = static_cast<int32_t>(jumps);
  return estimate;
}

}  // namespace voxhop
