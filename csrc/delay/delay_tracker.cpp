#include "delay/delay_tracker.h"

#include <algorithm>
#include <cmath>

namespace voxhop {
namespace {

// Peak over rms of the correlation. Unrelated speech reaches 22 for a moment, at lags that
// change with every scan; an echo holds its lag, so strength and agreement are traded.
constexpr double kWeakest = 8.0;
constexpr double kAgreement = 0.0008;  // s
constexpr double kStill = 0.8;         // of the highest peak: the echo has not left its lag
constexpr double kSame = 0.5;          // as kStill, against a reflection of the same room
// An echo that has jumped fades where it was and grows where it is: long before it is the
// stronger of the two, that is seen.
constexpr double kFaded = 0.75;   // of the usual strength
constexpr double kGrown = 0.6;    // of what is left at the old lag
constexpr double kClear = 12.0;   // strength of such a rival
constexpr double kGaining = 0.9;  // share at the old lag, against that of the scan before
constexpr int kPatience = 4;      // more scans than for a rival: little is at stake
constexpr double kNoEcho = 5.0, kClearEcho = 25.0;
constexpr double kMostSlope = 400e-6;
constexpr double kLevelSpan = 2.0;  // s

int scans_needed(double strength) {
  return strength >= 20.0 ? 2 : strength >= 14.0 ? 3 : strength >= 10.0 ? 4 : 6;
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
  if (!locked_) return consider_first(scan);
  const bool here = follow(scan);
  return consider_rival(scan) || consider_reflection(scan, here);
}

// True when the echo is where it was. A reflection may be louder in a scan, and must not
// take the lock and give it back.
bool DelayTracker::follow(const DelayScan & scan) noexcept {
  const double near = scan.near.strength;
  const bool there = near >= kWeakest;
  misses_ = there ? 0 : misses_ + 1;
  // A lost echo lets the confidence go slowly: pauses in the far speech are not news.
  strength_ += (there ? 0.2 : 0.05) * (near - strength_);
  usual_ += (near > usual_ ? 0.2 : 0.03) * (near - usual_);
  const double share = scan.best.lag_s == scan.rival.lag_s ? kStill : kSame;
  const bool here = there && near >= share * scan.best.strength;
  if (!here) return false;
  add_point(scan.time_s, scan.near.lag_s);
  fit();
  return true;
}

bool DelayTracker::consider_first(const DelayScan & scan) noexcept {
  ++misses_;
  count(rival_, scan.time_s, scan.best);
  // There is nothing yet that a wrong lag could be weighed against.
  if (rival_.agreed < scans_needed(scan.best.strength) + 2) return false;
  take_over(scan.time_s, scan.best);
  return true;
}

bool DelayTracker::consider_rival(const DelayScan & scan) noexcept {
  const double near = scan.near.strength, rival = scan.rival.strength;
  const double share = rival / std::max(near, 1.0);
  // The lag that was left a moment ago is still strong, but it loses.
  if (share < kGaining * rival_.share) rival_.agreed = 0;
  count(rival_, scan.time_s, scan.rival);
  rival_.share = share;
  const bool stronger = kStill * rival >= near;
  const bool grows = rival >= std::max(kClear, kGrown * near);
  if (near >= kFaded * usual_ || !(stronger || grows)) return false;
  if (rival_.agreed < scans_needed(rival)) return false;
  take_over(scan.time_s, scan.rival);
  return true;
}

// The direct sound before what is followed, or what is left once that is gone.
bool DelayTracker::consider_reflection(const DelayScan & scan, bool here) noexcept {
  const bool other = scan.best.lag_s != scan.rival.lag_s &&
                     std::abs(scan.best.lag_s - scan.near.lag_s) > kAgreement;
  const bool earlier = scan.best.lag_s < scan.near.lag_s;
  const bool gone = !here && scan.near.strength < kFaded * usual_;
  if (!other || !(earlier || gone)) {
    reflection_.agreed = 0;
    return false;
  }
  count(reflection_, scan.time_s, scan.best);
  if (reflection_.agreed < scans_needed(scan.best.strength) + kPatience) return false;
  take_over(scan.time_s, scan.best);
  return true;
}

// Counts the scans in a row in which a candidate holds its lag.
void DelayTracker::count(Candidate & candidate, double time,
                         const DelayPeak & peak) const noexcept {
  const double expected = candidate.at.lag + slope_ * (time - candidate.at.time);
  const bool agrees = candidate.agreed > 0 && std::abs(peak.lag_s - expected) < kAgreement;
  candidate.agreed = peak.strength < kWeakest ? 0 : agrees ? candidate.agreed + 1 : 1;
  candidate.at = {time, peak.lag_s};
}

void DelayTracker::take_over(double time, const DelayPeak & peak) noexcept {
  locked_ = true;
  count_ = next_ = 0;
  rival_ = reflection_ = Candidate{};
  misses_ = 0;
  strength_ = usual_ = peak.strength;
  lag_ = peak.lag_s;
  time_ = time;
  add_point(time, peak.lag_s);
}

void DelayTracker::add_point(double time, double lag) noexcept {
  points_[next_] = {time, lag};
  next_ = (next_ + 1) % kPoints;
  count_ = std::min(count_ + 1, kPoints);
}

// Two rounds of least squares; the second leaves out what the first missed by three times
// the mean error. Until the points span kDriftSpan only a level is fitted, which without a
// known slope is that of the last points.
void DelayTracker::fit() noexcept {
  const Point newest = points_[(next_ + kPoints - 1) % kPoints];
  const Point oldest = points_[count_ < kPoints ? 0 : next_];
  const bool sloped = newest.time - oldest.time >= kDriftSpan;
  const double since = sloped || drift_known_ ? oldest.time : newest.time - kLevelSpan;
  double limit = 1.0;
  for (int round = 0; round < 2; ++round) {
    double n = 0.0, t1 = 0.0, y1 = 0.0, tt = 0.0, ty = 0.0, error = 0.0;
    for (size_t i = 0; i < count_; ++i) {
      const double t = points_[i].time - newest.time, y = points_[i].lag;
      const double miss = y - lag_at(points_[i].time);
      if (points_[i].time < since || (round > 0 && std::abs(miss) > limit)) continue;
      n += 1.0, t1 += t, y1 += y, tt += t * t, ty += t * y;
    }
    if (n < 1.0) return;
    const double spread = tt - t1 * t1 / n;
    const bool fits = sloped && n >= 8.0 && spread > 0.0;
    if (fits) slope_ = std::clamp((ty - t1 * y1 / n) / spread, -kMostSlope, kMostSlope);
    lag_ = (y1 - slope_ * t1) / n;
    time_ = newest.time;
    double count = 0.0;
    for (size_t i = 0; i < count_; ++i) {
      if (points_[i].time < since) continue;
      const double miss = points_[i].lag - lag_at(points_[i].time);
      error += round == 0 ? std::abs(miss) : std::min(miss * miss, limit * limit);
      count += 1.0;
    }
    if (round == 0) limit = std::max(3.0 * error / count, 20e-6);
    if (fits) {
      drift_known_ = true;
      slope_error_ = std::sqrt(error / n / spread);
    }
  }
}

}  // namespace voxhop
