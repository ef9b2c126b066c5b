#include "stream/meters.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace voxhop {
namespace {

constexpr double kShortest = 1e-6, kRatio = 1.05;
constexpr double kRefSilence = 1e-6, kNearSilence = 3e-6;  // mean squares: -60, -55 dBFS
constexpr double kNearOverFloor = 8.0;
constexpr double kLevelSeconds = 0.2, kEchoSeconds = 1.0, kJudgeSeconds = 2.0;
constexpr double kOneDb = 1.2589254;
constexpr double kTiny = 1e-12;

double dbfs(double mean_square) {
  return 10.0 * std::log10(mean_square + kTiny);
}

}  // namespace

void TimeHistogram::reset() noexcept {
  counts_.fill(0);
  total_ = 0;
}

void TimeHistogram::add(double seconds) noexcept {
  const double bin = std::log(std::max(seconds, kShortest) / kShortest) / std::log(kRatio);
  ++counts_[std::min(static_cast<size_t>(bin), kBins - 1)];
  ++total_;
}

double TimeHistogram::quantile(double share) const noexcept {
  if (total_ == 0) return 0.0;
  const auto wanted = static_cast<uint64_t>(std::ceil(share * static_cast<double>(total_)));
  uint64_t seen = 0;
  size_t bin = 0;
  while (bin < kBins - 1 && (seen += counts_[bin]) < wanted) ++bin;
  return kShortest * std::pow(kRatio, static_cast<double>(bin + 1));
}

Meters::Meters(double hop_seconds) : hop_s_(hop_seconds) {}

void Meters::reset() noexcept {
  *this = Meters(hop_s_);
}

void Meters::add(double mic, double ref, double out, bool echo_expected) noexcept {
  const double level = 1.0 - std::exp(-hop_s_ / kLevelSeconds);
  mic_ += level * (mic - mic_);
  ref_ += level * (ref - ref_);
  out_ += level * (out - out_);
  ref_active_ = ref_ > kRefSilence;
  // The floor falls at once and rises by 3 dB a second: a minimum with a memory.
  floor_ = std::min(floor_ * (1.0 + hop_s_), std::max(out_, kTiny));
  near_active_ = out_ > kNearSilence && out_ > kNearOverFloor * floor_;
  if (ref_active_) {
    const double share = 1.0 - std::exp(-hop_s_ / kEchoSeconds);
    echo_mic_ += share * (mic - echo_mic_);
    echo_out_ += share * (out - echo_out_);
  }
  judge(mic, out, echo_expected);
}

void Meters::judge(double mic, double out, bool echo_expected) noexcept {
  const double share = 1.0 - std::exp(-hop_s_ / kJudgeSeconds);
  judged_mic_ += share * (mic - judged_mic_);
  judged_out_ += share * (out - judged_out_);
  const bool louder = judged_out_ > kOneDb * judged_mic_ && judged_out_ > kNearSilence;
  const bool useless = echo_expected && ref_active_ && kOneDb * judged_out_ > judged_mic_;
  // Only time with the reference on tells anything about an echo.
  louder_s_ = louder ? louder_s_ + hop_s_ : 0.0;
  if (useless) {
    useless_s_ += hop_s_;
  } else if (ref_active_) {
    useless_s_ = 0.0;
  }
  fine_s_ = louder || useless ? 0.0 : fine_s_ + hop_s_;
  if (louder_s_ >= 2.0 || useless_s_ >= 8.0) not_helping_ = true;
  if (fine_s_ >= 2.0) not_helping_ = false;
}

double Meters::erle_db() const noexcept {
  if (echo_mic_ <= 0.0) return std::numeric_limits<double>::quiet_NaN();
  return 10.0 * std::log10((echo_mic_ + kTiny) / (echo_out_ + kTiny));
}

double Meters::mic_dbfs() const noexcept {
  return dbfs(mic_);
}
double Meters::ref_dbfs() const noexcept {
  return dbfs(ref_);
}
double Meters::out_dbfs() const noexcept {
  return dbfs(out_);
}

}  // namespace voxhop
