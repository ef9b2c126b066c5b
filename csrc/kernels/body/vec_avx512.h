// Vectors of sixteen floats for AVX-512 (F, BW, DQ, VL); an odd octet of a panel is a
// 256-bit vector, so that 40 channels cost two and a half vectors, not three. Unnamed
// namespace for the reason given in vec_avx2.h.
#pragma once

#include <immintrin.h>

#include <stdint.h>
#include <string.h>

namespace voxhop::kernels {
namespace {

using Vec = __m512;
using Half = __m256;
constexpr int kWidth = 16;

constexpr int kMaxOctets = 6;
constexpr int tile_bins(int octets) {
  return octets <= 2 ? 12 : 8;
}

inline Vec v_zero() {
  return _mm512_setzero_ps();
}
inline Vec v_set(float x) {
  return _mm512_set1_ps(x);
}
inline Vec v_load(const float * p) {
  return _mm512_loadu_ps(p);
}
inline void v_store(float * p, Vec x) {
  _mm512_storeu_ps(p, x);
}
inline Vec v_add(Vec a, Vec b) {
  return _mm512_add_ps(a, b);
}
inline Vec v_sub(Vec a, Vec b) {
  return _mm512_sub_ps(a, b);
}
inline Vec v_mul(Vec a, Vec b) {
  return _mm512_mul_ps(a, b);
}
inline Vec v_div(Vec a, Vec b) {
  return _mm512_div_ps(a, b);
}
inline Vec v_fma(Vec a, Vec b, Vec c) {
  return _mm512_fmadd_ps(a, b, c);
}
// A NaN in `a` yields `b` in both.
inline Vec v_min(Vec a, Vec b) {
  return _mm512_min_ps(a, b);
}
inline Vec v_max(Vec a, Vec b) {
  return _mm512_max_ps(a, b);
}
inline Vec v_sqrt(Vec a) {
  return _mm512_sqrt_ps(a);
}
inline Vec v_abs(Vec a) {
  return _mm512_abs_ps(a);
}
inline Vec v_round(Vec a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// a where x > y, else b.
inline Vec v_select_gt(Vec x, Vec y, Vec a, Vec b) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, y, _CMP_GT_OQ), b, a);
}

// 2^n for integral n in [-126, 127].
inline Vec v_exp2i(Vec n) {
  const __m512i e = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(e, 23));
}
// x = m * 2^e with m in [1, 2), for positive normal x.
inline Vec v_exponent(Vec x) {
  const __m512i e = _mm512_srli_epi32(_mm512_castps_si512(x), 23);
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(e, _mm512_set1_epi32(127)));
}
inline Vec v_mantissa(Vec x) {
  const __m512i m = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x007fffff));
  return _mm512_castsi512_ps(_mm512_or_si512(m, _mm512_set1_epi32(0x3f800000)));
}

inline Vec v_load(const uint16_t * half) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(half)));
}
inline void v_store(uint16_t * half, Vec x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(half),
                      _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}

inline Vec v_load(const int8_t * p) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))));
}

inline float half_to_float(uint16_t h) {
  return _cvtsh_ss(h);
}
// Values must be integral and within a signed byte.
inline void v_store_s8(int8_t * p, Vec x) {
  _mm_storeu_si128(reinterpret_cast<__m128i *>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x)));
}

inline float v_sum(Vec x) {
  return _mm512_reduce_add_ps(x);
}
inline float v_largest(Vec x) {
  return _mm512_reduce_max_ps(x);
}

inline Half h_set(float x) {
  return _mm256_set1_ps(x);
}
inline Half h_load(const float * p) {
  return _mm256_loadu_ps(p);
}
inline Half h_load(const uint16_t * half) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(half)));
}

// H octets of one bin: pairs in full vectors, an odd one in half a vector.
template <int H, bool Odd = H % 2 != 0>
struct Lanes {
  Vec v[H / 2];
};
template <int H>
struct Lanes<H, true> {
  Vec v[H / 2 > 0 ? H / 2 : 1];
  Half h;
};

template <int H>
inline void l_zero(Lanes<H> & l) {
#pragma GCC unroll 8
  for (int i = 0; i < H / 2; ++i) l.v[i] = v_zero();
  if constexpr (H % 2 != 0) l.h = _mm256_setzero_ps();
}
template <int H, class T>
inline void l_load(Lanes<H> & l, const T * p) {
#pragma GCC unroll 8
  for (int i = 0; i < H / 2; ++i) l.v[i] = v_load(p + 16 * i);
  if constexpr (H % 2 != 0) l.h = h_load(p + 16 * (H / 2));
}
template <int H>
inline void l_store(float * p, const Lanes<H> & l) {
#pragma GCC unroll 8
  for (int i = 0; i < H / 2; ++i) v_store(p + 16 * i, l.v[i]);
  if constexpr (H % 2 != 0) _mm256_storeu_ps(p + 16 * (H / 2), l.h);
}
template <int H>
inline void l_fma(Lanes<H> & acc, const Lanes<H> & w, float x) {
  const Vec b = v_set(x);
#pragma GCC unroll 8
  for (int i = 0; i < H / 2; ++i) acc.v[i] = v_fma(w.v[i], b, acc.v[i]);
  if constexpr (H % 2 != 0) {
    acc.h = _mm256_fmadd_ps(w.h, _mm512_castps512_ps256(b), acc.h);
  }
}
template <int H>
inline void l_add(Lanes<H> & acc, const Lanes<H> & x) {
#pragma GCC unroll 8
  for (int i = 0; i < H / 2; ++i) acc.v[i] = v_add(acc.v[i], x.v[i]);
  if constexpr (H % 2 != 0) acc.h = _mm256_add_ps(acc.h, x.h);
}
template <int H>
inline void l_mul(Lanes<H> & acc, const Lanes<H> & x) {
#pragma GCC unroll 8
  for (int i = 0; i < H / 2; ++i) acc.v[i] = v_mul(acc.v[i], x.v[i]);
  if constexpr (H % 2 != 0) acc.h = _mm256_mul_ps(acc.h, x.h);
}
// acc = acc * gain + shift, rounded once.
template <int H>
inline void l_map(Lanes<H> & acc, const Lanes<H> & gain, const Lanes<H> & shift) {
#pragma GCC unroll 8
  for (int i = 0; i < H / 2; ++i) acc.v[i] = v_fma(acc.v[i], gain.v[i], shift.v[i]);
  if constexpr (H % 2 != 0) acc.h = _mm256_fmadd_ps(acc.h, gain.h, shift.h);
}
template <int H, class Fn>
inline void l_apply(Lanes<H> & l, Fn fn) {
#pragma GCC unroll 8
  for (int i = 0; i < H / 2; ++i) l.v[i] = fn(l.v[i]);
  if constexpr (H % 2 != 0) {
    l.h = _mm512_castps512_ps256(fn(_mm512_zextps256_ps512(l.h)));
  }
}

}  // namespace
}  // namespace voxhop::kernels
