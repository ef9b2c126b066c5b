#include "stream/high_pass.h"

#include <algorithm>
#include <cmath>

namespace voxhop {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kSqrt2 = 1.41421356237309504880;

// After minutes of digital silence the state would be denormal, where a sample costs a hundred
// times as much. By sample and not by block: no split of a recording may change a bit.
double without_denormals(double x) noexcept {
  constexpr double kNothing = 1e-30;
  return std::abs(x) < kNothing ? 0.0 : x;
}

}  // namespace

HighPass::HighPass(int64_t rate, double corner) : on_(corner > 0.0) {
  if (!on_) return;
  const double k = std::tan(kPi * corner / static_cast<double>(rate));
  gain_ = 1.0 / (1.0 + kSqrt2 * k + k * k);
  a1_ = 2.0 * (k * k - 1.0) * gain_;
  a2_ = (1.0 - kSqrt2 * k + k * k) * gain_;
}

// Transposed direct form II.
void HighPass::process(const float * in, int64_t n, float * out) noexcept {
  if (!on_) {
    if (in != out) std::copy_n(in, n, out);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const double x = gain_ * static_cast<double>(in[i]);
    const double y = x + first_;
    first_ = without_denormals(second_ - 2.0 * x - a1_ * y);
    second_ = without_denormals(x - a2_ * y);
    out[i] = static_cast<float>(y);
  }
}

}  // namespace voxhop
