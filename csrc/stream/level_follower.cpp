#include "stream/level_follower.h"

#include <algorithm>
#include <cmath>

#include "core/status.h"

namespace voxhop {
namespace {

const double kNominalPeak = std::pow(10.0, -6.0 / 20.0);
const double kMostGain = std::pow(10.0, 40.0 / 20.0);
const double kQuietest = std::pow(10.0, -60.0 / 20.0);  // peaks below are no sound
// Speech comes back near its peak several times a second; pauses are more than 20 dB below it
// and must not let the noise in them grow.
const double kPause = std::pow(10.0, -20.0 / 20.0);
constexpr double kSpeechDbPerSecond = 6.0, kPauseDbPerSecond = 0.5;

double share_left(double db_per_second, int64_t hop, int64_t rate) {
  const double seconds = static_cast<double>(hop) / static_cast<double>(rate);
  return std::pow(10.0, -db_per_second * seconds / 20.0);
}

}  // namespace

LevelFollower::LevelFollower(int64_t hop, int64_t rate, int64_t latency)
    : hop_(hop),
      latency_(latency),
      gains_(std::max<int64_t>(0, latency) + std::max<int64_t>(0, hop)) {
  VH_CHECK(hop >= 1 && rate >= 1 && latency >= 0, VH_E_ARGUMENT,
           "level: hop_length %lld, sample_rate %lld, latency_samples %lld, expected at least 1, 1 "
           "and 0",
           static_cast<long long>(hop), static_cast<long long>(rate),
           static_cast<long long>(latency));
  speech_ = share_left(kSpeechDbPerSecond, hop, rate);
  pause_ = share_left(kPauseDbPerSecond, hop, rate);
  hop_gains_.resize(static_cast<size_t>(hop));
  reset();
}

void LevelFollower::reset() noexcept {
  peak_ = 0.0;
  gain_ = 1.0;
  gains_.clear();
  std::fill(hop_gains_.begin(), hop_gains_.end(), 1.0f);
  for (int64_t left = latency_; left > 0; left -= std::min(left, hop_)) {
    gains_.push(hop_gains_.data(), std::min(left, hop_));
  }
}

void LevelFollower::lift(const float * in, float * out) noexcept {
  float loudest = 0.0f;
  for (int64_t i = 0; i < hop_; ++i) loudest = std::fmax(loudest, std::abs(in[i]));
  const bool silent = peak_ == 0.0;
  follow(static_cast<double>(loudest));
  const double goal = std::min(peak_ == 0.0 ? gain_ : kNominalPeak / peak_, kMostGain);
  const double start = silent ? goal : gain_;
  for (int64_t i = 0; i < hop_; ++i) {
    const double ramp = static_cast<double>(i + 1) / static_cast<double>(hop_);
    const auto gain = static_cast<float>(start + (goal - start) * ramp);
    hop_gains_[static_cast<size_t>(i)] = gain;
    out[i] = in[i] * gain;
  }
  gain_ = goal;
  gains_.push(hop_gains_.data(), hop_);
}

void LevelFollower::lower(const float * in, float * out) noexcept {
  gains_.pop(hop_gains_.data(), hop_);
  for (int64_t i = 0; i < hop_; ++i) out[i] = in[i] / hop_gains_[static_cast<size_t>(i)];
}

double LevelFollower::gain_db() const noexcept {
  return 20.0 * std::log10(gain_);
}

void LevelFollower::archive(Archive & archive) {
  archive.value(peak_);
  archive.value(gain_);
  gains_.archive(archive);
  const int64_t found = gains_.size();
  if (found == latency_ || found == latency_ + hop_) return;
  reset();
  fail(VH_E_STATE, "level: a state with gains for %lld samples, expected %lld",
       static_cast<long long>(found), static_cast<long long>(latency_));
}

void LevelFollower::follow(double peak) noexcept {
  if (peak >= std::max(peak_, kQuietest)) {
    peak_ = peak;
  } else if (peak >= kQuietest) {
    peak_ = std::max(peak, peak_ * (peak >= peak_ * kPause ? speech_ : pause_));
  }
}

}  // namespace voxhop
