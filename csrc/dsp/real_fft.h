// Discrete Fourier transform of real signals of any even length, in double.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dsp/complex_fft.h"

namespace voxhop {

/// Through a complex transform of n / 2 points. Immutable; the caller gives the memory a transform
/// works in.
class RealFft {
 public:
  /// `n`: even, at least 2.
  explicit RealFft(int64_t n);

  int64_t size() const { return n_; }
  int64_t bins() const { return n_ / 2 + 1; }
  /// Doubles that forward() and inverse() work in.
  size_t work_size() const { return static_cast<size_t>(n_) + half_.work_size(); }

  /// samples (n) -> spectrum (2, n / 2 + 1), re and im of sum_t x_t e^(-2 pi i k t / n). The
  /// imaginary parts of the first and the last bin are exact zeros.
  void forward(const double * samples, double * spectrum, double * work) const;
  /// spectrum (2, n / 2 + 1) -> samples (n): n times the inverse transform. The imaginary
  /// parts of the first and the last bin do not count.
  void inverse(const double * spectrum, double * samples, double * work) const;

 private:
  int64_t n_;
  ComplexFft half_;             // of n / 2 points
  std::vector<double> halves_;  // (2, n / 2 + 1): e^(-2 pi i k / n)
};

}  // namespace voxhop
