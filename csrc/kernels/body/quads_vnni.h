// int8 sums by AVX-512 VNNI, which multiplies unsigned by signed bytes: activations are
// read with 128 added (one exclusive or) and 128 * sum(w) is taken off beforehand.
#pragma once

#include "kernels/body/vec_avx512.h"

namespace voxhop::kernels {
namespace {

template <int H, bool Odd = H % 2 != 0>
struct Quads {
  __m512i v[H / 2];
};
template <int H>
struct Quads<H, true> {
  __m512i v[H / 2 > 0 ? H / 2 : 1];
  __m256i h;
};
template <int H>
using QuadWeights = Quads<H>;

template <int H>
inline void q_start(Quads<H> & acc, const int32_t * offset) {
#pragma GCC unroll 8
  for (int i = 0; i < H / 2; ++i) {
    acc.v[i] = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_loadu_si512(offset + 16 * i));
  }
  if constexpr (H % 2 != 0) {
    acc.h = _mm256_sub_epi32(
        _mm256_setzero_si256(),
        _mm256_loadu_si256(reinterpret_cast<const __m256i *>(offset + 16 * (H / 2))));
  }
}
template <int H>
inline void q_load(Quads<H> & l, const int8_t * w) {
#pragma GCC unroll 8
  for (int i = 0; i < H / 2; ++i) l.v[i] = _mm512_loadu_si512(w + 64 * i);
  if constexpr (H % 2 != 0) {
    l.h = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(w + 64 * (H / 2)));
  }
}
// Written as assembly because GCC 12 moves the accumulators of these intrinsics through
// copies and the stack: 1.5 times slower.
inline void add_dot(__m512i & acc, __m512i unsigned_bytes, __m512i signed_bytes) {
  asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(unsigned_bytes), "v"(signed_bytes));
}
inline void add_dot(__m256i & acc, __m256i unsigned_bytes, __m256i signed_bytes) {
  asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(unsigned_bytes), "v"(signed_bytes));
}

template <int H>
inline void q_dot(Quads<H> & acc, const Quads<H> & w, const int8_t * x) {
  int32_t four;
  memcpy(&four, x, sizeof four);
  const __m512i u = _mm512_xor_si512(_mm512_set1_epi32(four), _mm512_set1_epi8(-128));
#pragma GCC unroll 8
  for (int i = 0; i < H / 2; ++i) add_dot(acc.v[i], u, w.v[i]);
  if constexpr (H % 2 != 0) add_dot(acc.h, _mm512_castsi512_si256(u), w.h);
}
template <int H>
inline void q_scale(Lanes<H> & sum, const Quads<H> & acc, float scale) {
  const Vec s = v_set(scale);
#pragma GCC unroll 8
  for (int i = 0; i < H / 2; ++i) {
    sum.v[i] = v_fma(_mm512_cvtepi32_ps(acc.v[i]), s, sum.v[i]);
  }
  if constexpr (H % 2 != 0) {
    sum.h = _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc.h), _mm512_castps512_ps256(s), sum.h);
  }
}

}  // namespace
}  // namespace voxhop::kernels
