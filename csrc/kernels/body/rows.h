// Kernels that pass over rows once: norm, number formats, softmax, dot product, power law.
#pragma once

#include <math.h>
#include <string.h>

#include "kernels/body/math.h"

namespace voxhop::kernels {
namespace {

// Whole vectors go to `body`, the rest element by element to `rest`.
template <class Body, class Rest>
inline void for_vectors(int n, Body body, Rest rest) {
  int i = 0;
  for (; i + kWidth <= n; i += kWidth) body(i);
  for (; i < n; ++i) rest(i);
}

// Four partial sums hide the latency of the additions.
template <class Map, class ScalarMap>
inline float sum_of(int n, Map map, ScalarMap scalar_map) {
  Vec s0 = v_zero(), s1 = v_zero(), s2 = v_zero(), s3 = v_zero();
  int i = 0;
  for (; i + 4 * kWidth <= n; i += 4 * kWidth) {
    s0 = map(s0, i);
    s1 = map(s1, i + kWidth);
    s2 = map(s2, i + 2 * kWidth);
    s3 = map(s3, i + 3 * kWidth);
  }
  for (; i + kWidth <= n; i += kWidth) s0 = map(s0, i);
  float sum = v_sum(v_add(v_add(s0, s1), v_add(s2, s3)));
  for (; i < n; ++i) sum += scalar_map(i);
  return sum;
}

// Channel values, repeated until they fill whole vectors.
constexpr int kLongestRepeat = 8 * kWidth;
struct Repeated {
  alignas(64) float values[kLongestRepeat];
  const float * fill(const float * once, int count, int period) {
    for (int i = 0; i < count; ++i) values[i] = once[i];
    for (int i = count; i < period; ++i) values[i] = values[i - count];
    return values;
  }
};

// Elements after which `channels` values start a vector again; `channels` when that would be
// too many.
inline int repeat_period(int channels, int n) {
  int period = channels;
  while (period % kWidth != 0 && period <= kLongestRepeat) period += channels;
  return period <= kLongestRepeat && period <= n ? period : channels;
}

// Two passes: the variance of deviations keeps its digits when |mean| >> deviation.
void norm(const NormArgs & a) {
  const int n = a.bins * a.channels;
  const float * x = a.x;
  const float mean =
      sum_of(
          n, [x](Vec s, int i) { return v_add(s, v_load(x + i)); }, [x](int i) { return x[i]; }) /
      static_cast<float>(n);
  const Vec vmean = v_set(mean);
  const float square = sum_of(
      n,
      [x, vmean](Vec s, int i) {
        const Vec d = v_sub(v_load(x + i), vmean);
        return v_fma(d, d, s);
      },
      [x, mean](int i) { return (x[i] - mean) * (x[i] - mean); });
  const float rstd = 1.0f / sqrtf(square / static_cast<float>(n) + 1e-5f);
  const Vec vrstd = v_set(rstd);
  const float * gain = a.gain;
  const float * bias = a.bias;
  // Widths that are no multiple of a vector: several bins fill whole ones, with gain and bias
  // written out as often as that takes.
  Repeated gains, biases;
  const int period = repeat_period(a.channels, n);
  if (period > a.channels) {
    gain = gains.fill(gain, a.channels, period);
    bias = biases.fill(bias, a.channels, period);
  }
  for (int first = 0; first < n; first += period) {
    const float * from = x + first;
    float * to = a.out + first;
    for_vectors(
        first + period <= n ? period : n - first,
        [&](int i) {
          const Vec y = v_mul(v_sub(v_load(from + i), vmean), vrstd);
          v_store(to + i, v_fma(y, v_load(gain + i), v_load(bias + i)));
        },
        [&](int i) { to[i] = (from[i] - mean) * rstd * gain[i] + bias[i]; });
  }
}

void silu_map(const BandMapArgs & a) {
  const int C = a.channels;
  for (int bin = 0; bin < a.bins; ++bin) {
    const float * x = a.x + static_cast<ptrdiff_t>(bin) * C;
    const int band = bin * a.bands / a.bins;
    const float * scale = a.scale + static_cast<ptrdiff_t>(band) * C;
    const float * shift = a.shift + static_cast<ptrdiff_t>(band) * C;
    float * to = a.out + static_cast<ptrdiff_t>(bin) * C;
    for_vectors(
        C,
        [&](int i) {
          v_store(to + i, v_silu(v_fma(v_load(x + i), v_load(scale + i), v_load(shift + i))));
        },
        [&](int i) {
          const float y = x[i] * scale[i] + shift[i];
          to[i] = y / (1.0f + expf(-y));
        });
  }
}

void halve_bins(const BinsArgs & a) {
  const ptrdiff_t C = a.channels;
  const Vec three = v_set(3.0f), eighth = v_set(0.125f);
  for (int f = 0; f < a.bins; f += 2) {
    const float * x = a.x + f * C;
    const bool first = f == 0, last = f + 2 >= a.bins;
    for_vectors(
        a.channels,
        [&](int i) {
          const Vec before = first ? v_zero() : v_load(x - C + i);
          const Vec after = last ? v_zero() : v_load(x + 2 * C + i);
          const Vec inner = v_add(v_load(x + i), v_load(x + C + i));
          v_store(a.out + f / 2 * C + i, v_mul(v_fma(three, inner, v_add(before, after)), eighth));
        },
        [&](int i) {
          const float outer = (first ? 0.0f : x[i - C]) + (last ? 0.0f : x[2 * C + i]);
          a.out[f / 2 * C + i] = (3.0f * (x[i] + x[C + i]) + outer) * 0.125f;
        });
  }
}

void double_bins(const BinsArgs & a) {
  const ptrdiff_t C = a.channels;
  const Vec three = v_set(3.0f), eighth = v_set(0.125f);
  for (int f = 0; f < a.bins; ++f) {
    const float * x = a.x + f * C;
    float * even = a.out + 2 * f * C;
    float * odd = even + C;
    const bool last = f + 1 == a.bins;
    for_vectors(
        a.channels,
        [&](int i) {
          const Vec own = v_load(x + i), next = last ? v_zero() : v_load(x + C + i);
          v_store(even + i, v_mul(v_fma(three, own, next), eighth));
          v_store(odd + i, v_mul(v_fma(three, next, own), eighth));
        },
        [&](int i) {
          const float next = last ? 0.0f : x[C + i];
          even[i] = (3.0f * x[i] + next) * 0.125f;
          odd[i] = (x[i] + 3.0f * next) * 0.125f;
        });
  }
}

void sum(const float * x, const float * y, float scale, float * out, int n) {
  const Vec s = v_set(scale);
  for_vectors(
      n, [&](int i) { v_store(out + i, v_mul(v_add(v_load(x + i), v_load(y + i)), s)); },
      [&](int i) { out[i] = (x[i] + y[i]) * scale; });
}

// The last, partial vector of a row goes through a full one on the stack.
template <class T, class Fn>
inline void with_tail(const T * x, int n, Fn fn) {
  T full[kWidth] = {};
  memcpy(full, x, sizeof(T) * static_cast<size_t>(n));
  fn(full);
}

void to_f16(const float * x, uint16_t * y, int n) {
  int i = 0;
  for (; i + kWidth <= n; i += kWidth) v_store(y + i, v_load(x + i));
  if (i < n) {
    with_tail(x + i, n - i, [&](const float * full) {
      uint16_t half[kWidth];
      v_store(half, v_load(full));
      memcpy(y + i, half, sizeof(uint16_t) * static_cast<size_t>(n - i));
    });
  }
}

void from_f16(const uint16_t * x, float * y, int n) {
  int i = 0;
  for (; i + kWidth <= n; i += kWidth) v_store(y + i, v_load(x + i));
  if (i < n) {
    with_tail(x + i, n - i, [&](const uint16_t * full) {
      float wide[kWidth];
      v_store(wide, v_load(full));
      memcpy(y + i, wide, sizeof(float) * static_cast<size_t>(n - i));
    });
  }
}

// Round to nearest even; a NaN stays one.
void to_bf16(const float * x, uint16_t * y, int n) {
  for (int i = 0; i < n; ++i) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    y[i] = static_cast<uint16_t>(nan ? (bits >> 16 | 64u) : rounded);
  }
}

float to_s8(const float * x, int8_t * y, int n) {
  Vec m0 = v_zero(), m1 = v_zero();
  int i = 0;
  for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
    m0 = v_max(v_abs(v_load(x + i)), m0);
    m1 = v_max(v_abs(v_load(x + i + kWidth)), m1);
  }
  float largest = v_largest(v_max(m0, m1));
  for (; i < n; ++i) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
  if (!(largest > 0.0f) || !(largest < 3.0e38f)) {
    // Silence, or not finite: the row is zero and its scale carries what it was.
    memset(y, 0, static_cast<size_t>(n));
    return largest > 0.0f ? largest : 1.0f;
  }
  const float units = 127.0f / largest;
  const Vec vunits = v_set(units), top = v_set(127.0f);
  // The limit only matters for a NaN, which becomes the top.
  for_vectors(
      n, [&](int j) { v_store_s8(y + j, v_round(v_min(v_mul(v_load(x + j), vunits), top))); },
      [&](int j) {
        const float unit = x[j] * units;
        y[j] = static_cast<int8_t>(unit < 127.0f ? lrintf(unit) : 127);
      });
  return largest / 127.0f;
}

float dot(const float * x, const float * y, int n) {
  return sum_of(
      n, [x, y](Vec s, int i) { return v_fma(v_load(x + i), v_load(y + i), s); },
      [x, y](int i) { return x[i] * y[i]; });
}

// One vector function for vectors and tails alike, so that a value does not depend on
// its position.
template <class Fn>
inline void map_row(const float * x, float * y, int n, Fn fn) {
  int i = 0;
  for (; i + kWidth <= n; i += kWidth) v_store(y + i, fn(v_load(x + i)));
  if (i < n) {
    with_tail(x + i, n - i, [&](const float * full) {
      float out[kWidth];
      v_store(out, fn(v_load(full)));
      memcpy(y + i, out, sizeof(float) * static_cast<size_t>(n - i));
    });
  }
}

void softmax(float * x, int n) {
  float largest = x[0];
  for (int i = 1; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  const Vec top = v_set(largest);
  map_row(x, x, n, [top](Vec v) { return v_exp(v_sub(v, top)); });
  float sum = 0.0f;
  for (int i = 0; i < n; ++i) sum += x[i];
  const Vec scale = v_set(1.0f / sum);
  map_row(x, x, n, [scale](Vec v) { return v_mul(v, scale); });
}

void power_law(const float * z, float exponent, float * out, int bins) {
  const Vec half_power = v_set(0.5f * (exponent - 1.0f));
  for (int first = 0; first < bins; first += kWidth) {
    const int n = bins - first < kWidth ? bins - first : kWidth;
    float gain[kWidth];
    for (int i = 0; i < kWidth; ++i) gain[i] = 1.0f;
    for (int i = 0; i < n; ++i) {
      const float re = z[2 * (first + i)], im = z[2 * (first + i) + 1];
      gain[i] = re * re + im * im + 1e-12f;
    }
    v_store(gain, v_exp(v_mul(half_power, v_log(v_load(gain)))));
    for (int i = 0; i < n; ++i) {
      out[2 * (first + i)] = z[2 * (first + i)] * gain[i];
      out[2 * (first + i) + 1] = z[2 * (first + i) + 1] * gain[i];
    }
  }
}

}  // namespace
}  // namespace voxhop::kernels
