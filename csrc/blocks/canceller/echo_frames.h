// What gate and follower do with frames of (re, im) pairs.
#pragma once

#include <algorithm>
#include <cstdint>

namespace voxhop {

constexpr int64_t kDotFloats = 16;  // counts are multiples of it

/// Re<a, b> over `count` floats.
inline float dot(const float * a, const float * b, int64_t count) noexcept {
  float sums[kDotFloats] = {};
  for (int64_t i = 0; i < count; i += kDotFloats) {
    for (int64_t j = 0; j < kDotFloats; ++j) sums[j] += a[i + j] * b[i + j];
  }
  float sum = 0.0f;
  for (const float part : sums) sum += part;
  return sum;
}

/// How far something is open, 0 to 1, that opens as it proves to fit.
inline float opened(float fit, float shut_below, float open_above) noexcept {
  return std::clamp((fit - shut_below) / (open_above - shut_below), 0.0f, 1.0f);
}

/// frame - echo -> echo; where subtracting all adds energy, what fits best is subtracted.
inline void subtract_no_louder(const float * frame, int64_t count, float * echo) noexcept {
  constexpr float kFloor = 1e-7f;
  const float fits = dot(frame, echo, count), energy = dot(echo, echo, count);
  const float best = std::clamp(fits / std::max(energy, kFloor), 0.0f, 1.0f);
  const float share = energy > 2.0f * fits ? best : 1.0f;
  for (int64_t i = 0; i < count; ++i) echo[i] = frame[i] - share * echo[i];
}

}  // namespace voxhop
