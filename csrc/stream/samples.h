// Between the caller's samples and ours.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace voxhop {

struct SampleCounts {
  int64_t clipped = 0, nonfinite = 0;
};

inline float take_sample(float x, SampleCounts & counts) noexcept {
  if (!std::isfinite(x)) {
    ++counts.nonfinite;
    return 0.0f;
  }
  if (std::abs(x) >= 1.0f) ++counts.clipped;
  return x;
}

inline float take_sample(int16_t x, SampleCounts & counts) noexcept {
  if (x == INT16_MAX || x == INT16_MIN) ++counts.clipped;
  return static_cast<float>(x) * (1.0f / 32768.0f);
}

inline void give_sample(float y, float & out) noexcept {
  out = y;
}

inline void give_sample(float y, int16_t & out) noexcept {
  const float scaled = std::nearbyint(y * 32768.0f);
  out = static_cast<int16_t>(std::clamp(scaled, -32768.0f, 32767.0f));
}

/// Averages `frames` interleaved frames of `channels` samples into mono.
template <typename T>
void mix_down(const T * in, int64_t channels, int64_t frames, float * out,
              SampleCounts & counts) noexcept {
  const float scale = 1.0f / static_cast<float>(channels);
  for (int64_t i = 0; i < frames; ++i) {
    float sum = 0.0f;
    for (int64_t c = 0; c < channels; ++c) sum += take_sample(in[i * channels + c], counts);
    out[i] = sum * scale;
  }
}

}  // namespace voxhop
