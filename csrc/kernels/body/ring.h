// Attention of one query over a ring: keys in groups of kWidth slots, so that scores need no
// sum across a vector; values in rows.
#pragma once

#include "kernels/body/rows.h"

namespace voxhop::kernels {
namespace {

// Four groups at a time keep the multiply-adds of one element apart.
template <class T, int Groups>
inline void ring_scores(const RingArgs & a, const T * keys, int group) {
  const ptrdiff_t stride = static_cast<ptrdiff_t>(a.d) * kWidth;
  const T * at = keys + group * stride;
  Vec sum[Groups];
#pragma GCC unroll 4
  for (int g = 0; g < Groups; ++g) sum[g] = v_zero();
  for (int i = 0; i < a.d; ++i) {
    const Vec q = v_set(a.query[i]);
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) sum[g] = v_fma(v_load(at + g * stride), q, sum[g]);
    at += kWidth;
  }
#pragma GCC unroll 4
  for (int g = 0; g < Groups; ++g) {
    float * scores = a.scores + (group + g) * kWidth;
    if constexpr (sizeof(T) == 1) {
      sum[g] = v_mul(sum[g], v_load(a.key_scales + (group + g) * kWidth));
    }
    v_store(scores, sum[g]);
  }
}

// Vectors [vec, vec + Vecs) of the weighted sum of rows, in two chains of slots.
template <class T, int Vecs>
inline void ring_mix(const RingArgs & a, const T * values, int vec, Vec scale) {
  Vec even[Vecs], odd[Vecs];
#pragma GCC unroll 4
  for (int v = 0; v < Vecs; ++v) even[v] = odd[v] = v_zero();
  const T * at = values + vec * kWidth;
  int slot = 0;
  for (; slot + 2 <= a.slots; slot += 2) {
    const Vec p0 = v_set(a.scores[slot]), p1 = v_set(a.scores[slot + 1]);
#pragma GCC unroll 4
    for (int v = 0; v < Vecs; ++v) {
      even[v] = v_fma(v_load(at + v * kWidth), p0, even[v]);
      odd[v] = v_fma(v_load(at + a.row + v * kWidth), p1, odd[v]);
    }
    at += 2 * static_cast<ptrdiff_t>(a.row);
  }
  if (slot < a.slots) {
    const Vec p = v_set(a.scores[slot]);
#pragma GCC unroll 4
    for (int v = 0; v < Vecs; ++v) even[v] = v_fma(v_load(at + v * kWidth), p, even[v]);
  }
#pragma GCC unroll 4
  for (int v = 0; v < Vecs; ++v) {
    v_store(a.out + (vec + v) * kWidth, v_mul(v_add(even[v], odd[v]), scale));
  }
}

template <class T>
void ring_attend(const RingArgs & a) {
  const auto * keys = static_cast<const T *>(a.keys);
  const auto * values = static_cast<const T *>(a.values);
  const int groups = (a.slots + kWidth - 1) / kWidth;
  int group = 0;
  for (; group + 4 <= groups; group += 4) ring_scores<T, 4>(a, keys, group);
  for (; group < groups; ++group) ring_scores<T, 1>(a, keys, group);
  // Slots beyond the last one weigh nothing.
  for (int slot = a.slots; slot < groups * kWidth; ++slot) a.scores[slot] = -3.0e38f;
  Vec top = v_load(a.scores);
  for (int i = 1; i < groups; ++i) top = v_max(top, v_load(a.scores + i * kWidth));
  top = v_set(v_largest(top));
  Vec total = v_zero();
  for (int i = 0; i < groups; ++i) {
    const Vec p = v_exp(v_sub(v_load(a.scores + i * kWidth), top));
    total = v_add(total, p);
    v_store(a.scores + i * kWidth,
            sizeof(T) == 1 ? v_mul(p, v_load(a.value_scales + i * kWidth)) : p);
  }
  const Vec scale = v_set(1.0f / v_sum(total));
  const int vecs = a.row / kWidth;
  int vec = 0;
  for (; vec + 4 <= vecs; vec += 4) ring_mix<T, 4>(a, values, vec, scale);
  for (; vec + 2 <= vecs; vec += 2) ring_mix<T, 2>(a, values, vec, scale);
  for (; vec < vecs; ++vec) ring_mix<T, 1>(a, values, vec, scale);
}

inline void ring_put(const float * x, int n, float * y, float *) {
  memcpy(y, x, sizeof(float) * static_cast<size_t>(n));
}
inline void ring_put(const float * x, int n, uint16_t * y, float *) {
  to_f16(x, y, n);
}
inline void ring_put(const float * x, int n, int8_t * y, float * scale) {
  *scale = to_s8(x, y, n);
}

template <class T>
void ring_store(const RingStoreArgs & a) {
  const bool scaled = sizeof(T) == 1;
  auto * values = static_cast<T *>(a.values) + static_cast<ptrdiff_t>(a.slot) * a.row;
  ring_put(a.value, a.d, values, scaled ? a.value_scales + a.slot : nullptr);
  T * at = static_cast<T *>(a.keys) + static_cast<ptrdiff_t>(a.slot / kWidth) * a.d * kWidth +
           a.slot % kWidth;
  // Spread over its group; int8 takes its scale from the whole key first.
  if constexpr (sizeof(T) == 1) {
    float largest = 0.0f;
    for (int i = 0; i < a.d; ++i) largest = fabsf(a.key[i]) > largest ? fabsf(a.key[i]) : largest;
    const bool finite = largest < 3.0e38f;
    const float units = largest > 0.0f && finite ? 127.0f / largest : 0.0f;
    a.key_scales[a.slot] = largest > 0.0f ? (finite ? largest / 127.0f : largest) : 1.0f;
    for (int i = 0; i < a.d; ++i) {
      const float unit = a.key[i] * units;
      at[i * kWidth] = static_cast<int8_t>(unit < 127.0f ? lrintf(unit) : 127);
    }
  } else {
    T piece[kWidth];
    for (int first = 0; first < a.d; first += kWidth) {
      const int n = a.d - first < kWidth ? a.d - first : kWidth;
      ring_put(a.key + first, n, piece, nullptr);
      for (int i = 0; i < n; ++i) at[(first + i) * kWidth] = piece[i];
    }
  }
}

void glu(const float * x, const float * gate, float * y, int n) {
  map_row(gate, y, n, [](Vec v) { return v_sigmoid(v); });
  for_vectors(
      n, [&](int i) { v_store(y + i, v_mul(v_load(y + i), v_load(x + i))); },
      [&](int i) { y[i] *= x[i]; });
}

// Root mean square norm of each row.
void rms_norm(const RmsNormArgs & a) {
  for (int row = 0; row < a.rows; ++row) {
    const float * x = a.x + static_cast<ptrdiff_t>(row) * a.channels;
    float * y = a.out + static_cast<ptrdiff_t>(row) * a.channels;
    const float square = dot(x, x, a.channels) / static_cast<float>(a.channels);
    const float scale = 1.0f / sqrtf(square + a.eps);
    const Vec v = v_set(scale);
    for_vectors(
        a.channels,
        [&](int i) { v_store(y + i, v_mul(v_mul(v_load(x + i), v), v_load(a.gain + i))); },
        [&](int i) { y[i] = x[i] * scale * a.gain[i]; });
  }
}

}  // namespace
}  // namespace voxhop::kernels
