#include "stream/delay_tracker.h"

#include <algorithm>
#include <cmath>

namespace voxhop {
namespace {

// Peak over rms of the correlation. Unrelated speech reaches 22 for a moment, at lags that
// change with every scan; an echo holds its lag, so strength and agreement are traded.
constexpr double kWeakest = 8.0;
constexpr double kAgreement = 0.0008;  // s
constexpr double kNear = 0.0015;       // s, around the fit
constexpr double kTakeOver = 1.25;     // a new lag is this much stronger than the old one
constexpr double kNoEcho = 5.0, kClearEcho = 25.0;
constexpr double kMostSlope = 400e-6;

int scans_needed(double strength, bool first) {
  return (strength >= 20.0 ? 2 : strength >= 14.0 ? 3 : strength >= 10.0 ? 4 : 6) + (first ? 2 : 0);
}

}  // namespace

void DelayTracker::reset() noexcept {
  *this = DelayTracker{};
}

double DelayTracker::lag_at(double time_s) const noexcept {
  return locked_ ? lag_ + slope_ * (time_s - time_) : 0.0;
}

double DelayTracker::confidence() const noexcept {
  if (!locked_) return 0.0;
  return std::clamp((strength_ - kNoEcho) / (kClearEcho - kNoEcho), 0.0, 1.0);
}

bool DelayTracker::update(const DelayScan & scan) noexcept {
  if (!scan.active) return false;
  if (locked_ && follow(scan)) return false;
  if (!consider(scan)) return false;
  take_over(scan);
  return true;
}

// True when the scan agrees with the lag that is followed.
bool DelayTracker::follow(const DelayScan & scan) noexcept {
  // A lost echo lets the confidence go slowly: pauses in the far speech are not news.
  const double share = scan.expected >= kWeakest ? 0.2 : 0.05;
  strength_ += share * (scan.expected - strength_);
  misses_ = scan.expected >= kWeakest ? 0 : misses_ + 1;
  if (std::abs(scan.lag_s - lag_at(scan.time_s)) >= kNear) return false;
  agreed_ = 0;
  if (scan.strength >= kWeakest) {
    add_point(scan);
    fit();
  }
  return true;
}

// True when enough scans in a row agree on a lag that is not the one followed.
bool DelayTracker::consider(const DelayScan & scan) noexcept {
  if (!locked_) ++misses_;
  if (scan.strength < kWeakest) {
    agreed_ = 0;
    return false;
  }
  const double expected = candidate_.lag + slope_ * (scan.time_s - candidate_.time);
  const bool agrees = agreed_ > 0 && std::abs(scan.lag_s - expected) < kAgreement;
  agreed_ = agrees ? agreed_ + 1 : 1;
  candidate_ = {scan.time_s, scan.lag_s};
  const bool stronger = !locked_ || scan.strength >= kTakeOver * scan.expected;
  return stronger && agreed_ >= scans_needed(scan.strength, !locked_);
}

void DelayTracker::take_over(const DelayScan & scan) noexcept {
  locked_ = true;
  count_ = next_ = 0;
  agreed_ = 0;
  misses_ = 0;
  strength_ = scan.strength;
  lag_ = scan.lag_s;
  time_ = scan.time_s;
  add_point(scan);
}

void DelayTracker::add_point(const DelayScan & scan) noexcept {
  points_[next_] = {scan.time_s, scan.lag_s};
  next_ = (next_ + 1) % kPoints;
  count_ = std::min(count_ + 1, kPoints);
}

// Two rounds of least squares; the second leaves out what the first missed by three times
// the mean error. Until the points span kDriftSpan, only the level is fitted.
void DelayTracker::fit() noexcept {
  const Point newest = points_[(next_ + kPoints - 1) % kPoints];
  const Point oldest = points_[count_ < kPoints ? 0 : next_];
  const double span = newest.time - oldest.time;
  double limit = 1.0;
  for (int round = 0; round < 2; ++round) {
    double n = 0.0, t1 = 0.0, y1 = 0.0, tt = 0.0, ty = 0.0;
    const double slope_before = slope_, lag_before = lag_, time_before = time_;
    for (size_t i = 0; i < count_; ++i) {
      const double t = points_[i].time - newest.time, y = points_[i].lag;
      const double model = lag_before + slope_before * (points_[i].time - time_before);
      if (round > 0 && std::abs(y - model) > limit) continue;
      n += 1.0, t1 += t, y1 += y, tt += t * t, ty += t * y;
    }
    if (n < 1.0) return;
    const double spread = tt - t1 * t1 / n;
    const bool sloped = span >= kDriftSpan && n >= 8.0 && spread > 0.0;
    if (sloped) slope_ = std::clamp((ty - t1 * y1 / n) / spread, -kMostSlope, kMostSlope);
    lag_ = (y1 - slope_ * t1) / n;
    time_ = newest.time;
    double error = 0.0;
    for (size_t i = 0; i < count_; ++i) {
      const double miss = points_[i].lag - lag_at(points_[i].time);
      error += round == 0 ? std::abs(miss) : std::min(miss * miss, limit * limit);
    }
    if (round == 0) limit = std::max(3.0 * error / static_cast<double>(count_), 20e-6);
    if (sloped) {
      drift_known_ = true;
      slope_error_ = std::sqrt(error / n / spread);
    }
  }
}

}  // namespace voxhop
