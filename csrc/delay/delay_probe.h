// Where the echo of the reference lies in the microphone: cross-correlation of the last
// second over two seconds of lags, a little of it per hop.
#pragma once

#include <cstdint>
#include <vector>

#include "dsp/resampler.h"
#include "dsp/split_fft.h"

namespace voxhop {

/// A peak of the correlation.
struct DelayPeak {
  double lag_s = 0.0;     // delay of the echo behind the reference, to a fraction of a sample
  double strength = 0.0;  // height of the peak over the rms of all lags
};

/// What a scan over all lags found.
struct DelayScan {
  double time_s = 0.0;  // mic time of what it shows
  DelayPeak best;       // of all lags
  DelayPeak near;       // within kReach of the lag that was expected
  DelayPeak rival;      // farther than kRoom from it
  bool active = false;  // both sides carried sound during the scan
};

/// Generalised cross-correlation with averaged spectra (Carter's SCOT weighting),
///   c[lag] = IDFT( S_mr / sqrt(S_mm S_rr) ),
/// at 8 kHz in partitions of 32 ms: S is a running mean over about `memory_s` of sound. Each
/// pair of hops updates the cross-spectra of every partition and transforms an eighth
/// of them back, so a scan is complete every 0.26 s and no hop pays for a whole one.
/// State: the averages, two seconds of reference spectra, the scan in progress.
class DelayProbe {
 public:
  /// `rate` in Hz, lags from 0 to `range_s` seconds.
  DelayProbe(int64_t rate, double range_s, double memory_s = 0.8);

  void reset() noexcept;

  /// Takes n <= max_block samples of both sides, aligned in time. Returns true when a scan
  /// was completed; `expected_lag_s` is where a scan looks for DelayScan::near.
  bool process(const float * mic, const float * ref, int64_t n, double expected_lag_s) noexcept;

  const DelayScan & scan() const noexcept { return scan_; }
  double range_s() const noexcept;

  /// Samples at the probe's own rate, and how often a scan ends, in seconds.
  static constexpr int64_t kRate = 8000;
  static constexpr int64_t kBlock = 256;
  /// In seconds: an echo is found again within kReach; the reflections of one room follow
  /// within kRoom.
  static constexpr double kReach = 0.001, kRoom = 0.04;

 private:
  void start_block() noexcept;
  bool finish_block() noexcept;
  void spectrum_of(const float * frame, float * re, float * im) noexcept;
  bool average_power(const float * re, const float * im, float * power) const noexcept;
  void accumulate(size_t partition) noexcept;
  void correlate(size_t partition) noexcept;
  void finish_scan() noexcept;
  DelayPeak highest(double from_s, double to_s, double rms, bool first) const noexcept;
  int64_t first_peak(int64_t highest) const noexcept;
  double refine(int64_t peak) const noexcept;

  Resampler mic_down_, ref_down_;
  SplitFft fft_;
  size_t partitions_;
  float keep_;  // weight of the past per block
  double memory_s_;
  std::vector<float> mic_buffer_, ref_buffer_;    // at kRate: previous block, then new samples
  std::vector<float> frame_, lags_;               // work space
  std::vector<float> spectrum_re_, spectrum_im_;  // work space
  std::vector<float> mic_re_, mic_im_;            // (bins) of the newest block
  std::vector<float> ref_re_, ref_im_;            // (partitions, bins), a ring
  std::vector<float> cross_re_, cross_im_;        // (partitions, bins)
  std::vector<float> mic_power_, ref_power_;      // (bins)
  std::vector<float> weight_;                     // (bins), 1 / sqrt(S_mm S_rr)
  std::vector<float> correlation_;                // (partitions * kBlock), magnitudes
  size_t newest_ = 0;                             // row of the ring with the newest block
  size_t accumulated_ = 0;                        // partitions that the newest block is in
  size_t next_partition_ = 0;                     // of the scan in progress
  int64_t blocks_ = 0, fill_ = 0;
  float mic_before_ = 0.0f, ref_before_ = 0.0f;  // last samples before emphasis
  int64_t mic_active_ = 0, ref_active_ = 0;      // blocks of this scan with sound
  double expected_lag_s_ = 0.0;
  DelayScan scan_;
};

}  // namespace voxhop
