// Figures of a running stream. Sums per hop; everything else is worked out when read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace voxhop {

/// Wall times in a histogram with bins 5 % apart, 1 us to 100 s.
class TimeHistogram {
 public:
  void reset() noexcept;
  void add(double seconds) noexcept;
  /// Upper edge of the bin that holds the given share (0..1) of the times; 0 when empty.
  double quantile(double share) const noexcept;

 private:
  static constexpr size_t kBins = 380;
  std::array<uint32_t, kBins> counts_{};
  uint64_t total_ = 0;
};

/// Levels, activity, ERLE and the verdict whether the model helps.
class Meters {
 public:
  explicit Meters(double hop_seconds);

  void reset() noexcept;

  /// One hop: mean squares of microphone, reference (as the model heard it) and output, all
  /// of the same time. `echo_expected`: an echo of this reference is known to be there.
  void add(double mic, double ref, double out, bool echo_expected) noexcept;

  /// ERLE = 10 log10(E[mic] / E[out]) in dB over the last second or so of hops in which
  /// the reference sounded; NaN before the first. Near speech lowers it.
  double erle_db() const noexcept;
  double mic_dbfs() const noexcept;
  double ref_dbfs() const noexcept;
  double out_dbfs() const noexcept;
  bool ref_active() const noexcept { return ref_active_; }
  bool near_active() const noexcept { return near_active_; }

  /// The output was louder than the microphone for two seconds, or an echo that is there
  /// was not lowered by 1 dB in eight seconds of reference. Ends when two seconds in a row
  /// are neither.
  bool not_helping() const noexcept { return not_helping_; }

 private:
  void judge(double mic, double out, bool echo_expected) noexcept;

  double hop_s_;
  double mic_ = 0.0, ref_ = 0.0, out_ = 0.0;    // smoothed mean squares
  double echo_mic_ = 0.0, echo_out_ = 0.0;      // while the reference sounds
  double judged_mic_ = 0.0, judged_out_ = 0.0;  // over about two seconds
  double floor_ = 1.0;                          // of the output
  double louder_s_ = 0.0, useless_s_ = 0.0, fine_s_ = 0.0;
  bool ref_active_ = false, near_active_ = false, not_helping_ = false;
};

}  // namespace voxhop
