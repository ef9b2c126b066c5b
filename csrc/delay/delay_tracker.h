// From scans of the delay probe to one delay, its drift and its jumps.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "delay/delay_probe.h"

namespace voxhop {

/// Believes a lag that several scans in a row agree on, then follows it:
/// lag(t) = lag_s + slope * (t - time), fitted to the points of the last minute by least
/// squares with outliers removed. Another lag takes over when it holds and gains on what is
/// left at the old one, a reflection of the same room only when it holds for long or the
/// old one is gone. State: the points, the candidates.
class DelayTracker {
 public:
  void reset() noexcept;

  /// Takes one scan. Returns true when a lag was found, or another one took over.
  bool update(const DelayScan & scan) noexcept;

  bool locked() const noexcept { return locked_; }
  /// Seconds by which the echo lags the reference at `time_s`; 0 before a lock.
  double lag_at(double time_s) const noexcept;
  /// Change of the lag per second, in ppm: positive when the reference runs slow against
  /// the microphone. Known once the points span kDriftSpan seconds, and kept over jumps.
  double drift_ppm() const noexcept { return slope_ * 1e6; }
  bool drift_known() const noexcept { return drift_known_; }
  /// Standard error of drift_ppm().
  double drift_error_ppm() const noexcept { return slope_error_ * 1e6; }
  /// 0 (no echo found) to 1 (a peak far above everything else).
  double confidence() const noexcept;
  /// Active scans since the echo was last seen where it should be.
  int64_t scans_without_echo() const noexcept { return misses_; }

  static constexpr double kDriftSpan = 6.0;

 private:
  struct Point {
    double time = 0.0, lag = 0.0;
  };
  /// A lag that may take over.
  struct Candidate {
    Point at;
    int agreed = 0;      // scans in a row
    double share = 0.0;  // of the strength at the lag that is followed
  };
  static constexpr size_t kPoints = 240;  // a minute of scans

  bool follow(const DelayScan & scan) noexcept;
  bool consider_first(const DelayScan & scan) noexcept;
  bool consider_rival(const DelayScan & scan) noexcept;
  bool consider_reflection(const DelayScan & scan, bool here) noexcept;
  void count(Candidate & candidate, double time, const DelayPeak & peak) const noexcept;
  void take_over(double time, const DelayPeak & peak) noexcept;
  void add_point(double time, double lag) noexcept;
  void fit() noexcept;

  std::array<Point, kPoints> points_;
  size_t count_ = 0, next_ = 0;
  bool locked_ = false, drift_known_ = false;
  double time_ = 0.0, lag_ = 0.0, slope_ = 0.0, slope_error_ = 0.0;
  Candidate rival_, reflection_;
  double strength_ = 0.0;  // smoothed, at the lag that is followed
  double usual_ = 0.0;     // the same, slow to fall
  int64_t misses_ = 0;
};

}  // namespace voxhop
