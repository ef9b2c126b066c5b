#include "delay/aligner.h"

#include <algorithm>
#include <cmath>

namespace voxhop {
namespace {

// Echo within 8 ms of the reference may come before it once the room changes or a jitter
// buffer breathes; beyond half the window its tail starts to fall out.
constexpr double kEarliest = 0.008, kMargin = 0.032;
constexpr double kMostSlope = 300e-6;      // of the delay, while gliding
constexpr double kCatchUp = 8.0;           // s in which a level error is glided away
constexpr double kLeastDrift = 2.0;        // ppm
constexpr double kResidualError = 0.0005;  // s
// Four scans a second with sound on both sides: an echo that was never there is given up
// sooner than one that may only have been turned down.
constexpr int64_t kNeverFound = 40, kLost = 120;

}  // namespace

Aligner::Aligner(const AlignerConfig & config)
    : config_(config),
      probe_(config.rate, config.range_s),
      raw_(static_cast<size_t>(config.hop)),
      old_(static_cast<size_t>(config.hop)) {
  reset();
}

void Aligner::reset() noexcept {
  probe_.reset();
  tracker_.reset();
  delay_ = config_.automatic ? 0.0 : std::round(config_.delay_s * rate());
  jump_from_ = -1.0;
  gliding_ = unrelated_ = false;
  residual_ = 0.0;
  samples_ = jumps_ = 0;
}

int64_t Aligner::process(const float * mic, DelayLine & line, int64_t start,
                         float * aligned) noexcept {
  if (config_.automatic) observe(mic, line, start);
  const double before = delay_;
  const double after = next_delay();
  const auto hop = static_cast<double>(config_.hop);
  const double first = static_cast<double>(start) - before;
  const double step = 1.0 - (after - before) / hop;
  const int64_t late = line.read(first, step, config_.hop, aligned);
  if (jump_from_ >= 0.0) {
    line.read(static_cast<double>(start) - jump_from_, 1.0, config_.hop, old_.data());
    for (int64_t i = 0; i < config_.hop; ++i) {
      const float share = static_cast<float>(i + 1) / static_cast<float>(config_.hop);
      const auto at = static_cast<size_t>(i);
      aligned[i] = old_[at] + share * (aligned[i] - old_[at]);
    }
    jump_from_ = -1.0;
  }
  delay_ = after;
  samples_ += config_.hop;
  return late;
}

void Aligner::observe(const float * mic, const DelayLine & line, int64_t start) noexcept {
  line.copy(start, config_.hop, raw_.data());
  if (!probe_.process(mic, raw_.data(), config_.hop, tracker_.lag_at(now_s()))) return;
  const bool followed = tracker_.locked();
  const double before = echo_delay_s();
  if (tracker_.update(probe_.scan())) gliding_ = false;
  unrelated_ = tracker_.scans_without_echo() >= (tracker_.locked() ? kLost : kNeverFound);
  if (tracker_.locked()) choose(followed && std::abs(echo_delay_s() - before) > kMargin);
}

// Jump when the echo lies where the model does not hear it, or has itself jumped to where the
// model hears less of it than it could; else follow a drift.
void Aligner::choose(bool jumped) noexcept {
  const double lag = echo_delay_s();
  const double residual = lag - pre_delay_s();
  const double earliest = std::min({kEarliest, lag, 0.25 * config_.window_s});
  const double latest = std::max(0.5 * config_.window_s, 2.0 * kEarliest);
  const double margin = std::min(kMargin, 0.25 * latest);
  if (residual < earliest - kResidualError || residual > (jumped ? 2.0 * margin : latest)) {
    jump_from_ = delay_;
    delay_ = std::round(std::max(0.0, lag - margin) * rate());
    gliding_ = false;
    ++jumps_;
    return;
  }
  const double clear = std::max(kLeastDrift, 3.0 * tracker_.drift_error_ppm());
  if (!gliding_ && tracker_.drift_known() && std::abs(tracker_.drift_ppm()) > clear) {
    gliding_ = true;
    residual_ = residual;
    // Between two samples the delay line looks ahead, so it cannot follow from zero.
    if (delay_ < static_cast<double>(DelayLine::kLookahead)) {
      jump_from_ = delay_;
      delay_ = static_cast<double>(DelayLine::kLookahead);
      residual_ = lag - pre_delay_s();
    }
  }
}

double Aligner::next_delay() noexcept {
  if (!gliding_) return delay_;
  const double error = echo_delay_s() - pre_delay_s() - residual_;
  const double slope =
      std::clamp(tracker_.drift_ppm() * 1e-6 + error / kCatchUp, -kMostSlope, kMostSlope);
  const double next = delay_ + slope * static_cast<double>(config_.hop);
  return std::max(next, static_cast<double>(DelayLine::kLookahead));
}

}  // namespace voxhop
