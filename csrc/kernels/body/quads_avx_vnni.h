// int8 sums by AVX-VNNI, the dot products of AVX-512 for vectors of AVX2: activations are read
// with 128 added (one exclusive or) and 128 * sum(w) is taken off beforehand.
#pragma once

#include "kernels/body/vec_avx2.h"

namespace voxhop::kernels {
namespace {

template <int H>
struct Quads {
  __m256i v[H];
};
template <int H>
using QuadWeights = Quads<H>;

template <int H>
inline void q_start(Quads<H> & acc, const int32_t * offset) {
#pragma GCC unroll 8
  for (int i = 0; i < H; ++i) {
    const auto * from = reinterpret_cast<const __m256i *>(offset + 8 * i);
    acc.v[i] = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_loadu_si256(from));
  }
}
template <int H>
inline void q_load(Quads<H> & l, const int8_t * w) {
#pragma GCC unroll 8
  for (int i = 0; i < H; ++i) {
    l.v[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(w + 32 * i));
  }
}
// Written as assembly because GCC 12 moves the accumulators of the intrinsic through copies. The
// prefix is what tells it from AVX-512's.
inline void add_dot(__m256i & acc, __m256i unsigned_bytes, __m256i signed_bytes) {
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(unsigned_bytes), "x"(signed_bytes));
}
// From memory, or the bits to flip would take the register that the widest tile's last sum needs.
alignas(32) constexpr uint64_t kTopBits[4] = {0x8080808080808080, 0x8080808080808080,
                                              0x8080808080808080, 0x8080808080808080};
inline __m256i as_unsigned(__m256i bytes) {
  asm("vpxor %1, %0, %0" : "+x"(bytes) : "m"(kTopBits));
  return bytes;
}
template <int H>
inline void q_dot(Quads<H> & acc, const Quads<H> & w, const int8_t * x) {
  int32_t four;
  memcpy(&four, x, sizeof four);
  const __m256i u = as_unsigned(_mm256_set1_epi32(four));
#pragma GCC unroll 8
  for (int i = 0; i < H; ++i) add_dot(acc.v[i], u, w.v[i]);
}
template <int H>
inline void q_scale(Lanes<H> & sum, const Quads<H> & acc, float scale) {
  const Vec s = v_set(scale);
#pragma GCC unroll 8
  for (int i = 0; i < H; ++i) sum.v[i] = v_fma(_mm256_cvtepi32_ps(acc.v[i]), s, sum.v[i]);
}

}  // namespace
}  // namespace voxhop::kernels
