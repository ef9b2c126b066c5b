// A real FFT of a power-of-two length, for the delay probe.
#pragma once

#include <cstddef>
#include <vector>

namespace voxhop {

/// Spectra are split into real and imaginary halves of n/2 values each: bins 0..n/2-1.
/// The Nyquist bin is not represented; inverse() takes it as zero.
class SplitFft {
 public:
  /// `n` is a power of two, at least 8.
  explicit SplitFft(size_t n);

  size_t size() const noexcept { return n_; }

  /// in (n) -> re, im (n/2), unscaled.
  void forward(const float * in, float * re, float * im) noexcept;

  /// re, im (n/2) -> out (n), scaled by 1/n, so that inverse(forward(x)) is x less its
  /// Nyquist part.
  void inverse(const float * re, const float * im, float * out) noexcept;

 private:
  void transform(bool inverse) noexcept;

  size_t n_;
  std::vector<float> stage_cos_, stage_sin_;  // of the n/2-point complex transform
  std::vector<float> split_cos_, split_sin_;  // e^{-j 2 pi k / n}
  std::vector<float> re_, im_, re_other_, im_other_;
};

}  // namespace voxhop
