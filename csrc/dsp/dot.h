// Short dot products of a length known when compiling.
#pragma once

#include <cstddef>

namespace voxhop {

inline constexpr size_t kDotStep = 16;

/// Sum of a[i] * b[i], `n` a multiple of kDotStep. The order of summation is fixed by
/// the source, so that every split of a stream gives the same bits.
inline float dot(const float * a, const float * b, size_t n) noexcept {
  float sums[kDotStep] = {};
  for (size_t i = 0; i < n; i += kDotStep) {
    for (size_t j = 0; j < kDotStep; ++j) sums[j] += a[i + j] * b[i + j];
  }
  for (size_t width = kDotStep / 2; width > 0; width /= 2) {
    for (size_t j = 0; j < width; ++j) sums[j] += sums[j + width];
  }
  return sums[0];
}

}  // namespace voxhop
