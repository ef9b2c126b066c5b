// What lies below speech is taken away at the door: offsets, mains rumble, wind.
#pragma once

#include <cstdint>

namespace voxhop {

/// Butterworth high-pass of second order by the bilinear transform, its corner put exactly:
/// |H(f)|^2 = 1 / (1 + (tan(pi corner / rate) / tan(pi f / rate))^4), -3.01 dB at the corner.
/// State: two doubles, zero at reset, that is, silence before the first sample. In float the
/// poles would stand within rounding of 1 and let an offset through.
class HighPass {
 public:
  /// rate and corner in Hz, corner below rate / 2; corner 0 hands samples on as they are.
  HighPass(int64_t rate, double corner);

  void reset() noexcept { first_ = second_ = 0.0; }

  /// n samples; out may be in.
  void process(const float * in, int64_t n, float * out) noexcept;

 private:
  bool on_;
  double gain_ = 1.0, a1_ = 0.0, a2_ = 0.0;  // the numerator is gain (1, -2, 1)
  double first_ = 0.0, second_ = 0.0;
};

}  // namespace voxhop
