// bf16 pairs by AVX512_BF16.
#pragma once

#include "kernels/body/vec_avx512.h"

namespace voxhop::kernels {
namespace {

template <int H, bool Odd = H % 2 != 0>
struct Pairs {
  __m512bh v[H / 2];
};
template <int H>
struct Pairs<H, true> {
  __m512bh v[H / 2 > 0 ? H / 2 : 1];
  __m256bh h;
};

template <int H>
inline void p_load(Pairs<H> & l, const uint16_t * p) {
#pragma GCC unroll 8
  for (int i = 0; i < H / 2; ++i) l.v[i] = (__m512bh)_mm512_loadu_si512(p + 32 * i);
  if constexpr (H % 2 != 0) {
    l.h = (__m256bh)_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p + 32 * (H / 2)));
  }
}
template <int H>
inline void p_fma(Lanes<H> & acc, const Pairs<H> & w, const uint16_t * x) {
  int32_t two;
  memcpy(&two, x, sizeof two);
  const __m512i pair = _mm512_set1_epi32(two);
#pragma GCC unroll 8
  for (int i = 0; i < H / 2; ++i) {
    acc.v[i] = _mm512_dpbf16_ps(acc.v[i], w.v[i], (__m512bh)pair);
  }
  if constexpr (H % 2 != 0) {
    acc.h = _mm256_dpbf16_ps(acc.h, w.h, (__m256bh)_mm512_castsi512_si256(pair));
  }
}

}  // namespace
}  // namespace voxhop::kernels
