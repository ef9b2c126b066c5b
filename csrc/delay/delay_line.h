// The reference of the last seconds, read back with a delay that may glide or jump.
#pragma once

#include <cstdint>
#include <vector>

namespace voxhop {

/// Samples are addressed by their index since reset. A read at a whole index is exact;
/// one in between is a 32-tap windowed sinc, flat to 0.44 of the sample rate within
/// 0.05 dB, which needs kLookahead samples after it.
class DelayLine {
 public:
  static constexpr int64_t kLookahead = 16;

  /// Keeps at least `history` samples behind the newest; reads at most `most` at a time.
  DelayLine(int64_t history, int64_t most);

  void reset() noexcept;

  /// Appends n samples.
  void write(const float * in, int64_t n) noexcept;
  /// Index of the next sample to be written.
  int64_t write_index() const noexcept { return written_; }
  /// Appends n samples of silence.
  void write_zeros(int64_t n) noexcept;

  /// out[i] = line at position `start + i * step`, i = 0..n-1, step within 0.1 % of 1;
  /// silence outside what was written or is still kept. Returns how many of the n lie
  /// beyond the newest sample.
  int64_t read(double start, double step, int64_t n, float * out) noexcept;

  /// out[i] = sample first + i, i = 0..n-1, or silence.
  void copy(int64_t first, int64_t n, float * out) const noexcept;

 private:
  float interpolate(const float * around, double fraction) const noexcept;

  int64_t mask_;
  std::vector<float> ring_;
  std::vector<float> phases_;  // (kPhases + 1, 2 * kLookahead)
  std::vector<float> span_;    // what a read needs, in one piece
  int64_t written_ = 0;
};

}  // namespace voxhop
