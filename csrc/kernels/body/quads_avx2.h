// int8 sums by 16-bit multiply-add: exact, where the 8-bit form would saturate.
#pragma once

#include "kernels/body/vec_avx2.h"

namespace voxhop::kernels {
namespace {

// An octet's sums are two vectors of four channels, two partial sums per channel.
template <int H>
struct Quads {
  __m256i v[2 * H];
};
template <int H>
struct QuadWeights {
  __m256i v[2 * H];
};

template <int H>
inline void q_start(Quads<H> & acc, const int32_t *) {
#pragma GCC unroll 8
  for (int i = 0; i < 2 * H; ++i) acc.v[i] = _mm256_setzero_si256();
}
template <int H>
inline void q_load(QuadWeights<H> & l, const int8_t * w) {
#pragma GCC unroll 8
  for (int i = 0; i < 2 * H; ++i) {
    l.v[i] = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(w + 16 * i)));
  }
}
template <int H>
inline void q_dot(Quads<H> & acc, const QuadWeights<H> & w, const int8_t * x) {
  const __m256i four = _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_loadu_si32(x)));
#pragma GCC unroll 8
  for (int i = 0; i < 2 * H; ++i) {
    acc.v[i] = _mm256_add_epi32(acc.v[i], _mm256_madd_epi16(w.v[i], four));
  }
}
template <int H>
inline void q_scale(Lanes<H> & sum, const Quads<H> & acc, float scale) {
  const Vec s = v_set(scale);
#pragma GCC unroll 8
  for (int i = 0; i < H; ++i) {
    // hadd works in 128-bit halves: channels 0 1 4 5 | 2 3 6 7, put back in order.
    const __m256i pairs = _mm256_hadd_epi32(acc.v[2 * i], acc.v[2 * i + 1]);
    const __m256i ordered = _mm256_permute4x64_epi64(pairs, 0xd8);
    sum.v[i] = v_fma(_mm256_cvtepi32_ps(ordered), s, sum.v[i]);
  }
}

}  // namespace
}  // namespace voxhop::kernels
