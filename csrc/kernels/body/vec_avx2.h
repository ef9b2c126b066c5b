// Vectors of eight floats for AVX2 + FMA + F16C. Everything in body/ lives in an
// unnamed namespace: each ISA file gets its own copy, so the linker cannot pick one
// compiled for another CPU.
#pragma once

#include <immintrin.h>

#include <stdint.h>

namespace voxhop::kernels {
namespace {

using Vec = __m256;
constexpr int kWidth = 8;

// Most octets (groups of eight output channels) of one panel, and the bins of a tile
// for each panel width: 12 accumulators + weights + one broadcast in 16 registers.
constexpr int kMaxOctets = 3;
constexpr int tile_bins(int octets) {
  return octets >= 3 ? 4 : (octets == 2 ? 6 : 8);
}

inline Vec v_zero() {
  return _mm256_setzero_ps();
}
inline Vec v_set(float x) {
  return _mm256_set1_ps(x);
}
inline Vec v_load(const float * p) {
  return _mm256_loadu_ps(p);
}
inline void v_store(float * p, Vec x) {
  _mm256_storeu_ps(p, x);
}
inline Vec v_add(Vec a, Vec b) {
  return _mm256_add_ps(a, b);
}
inline Vec v_sub(Vec a, Vec b) {
  return _mm256_sub_ps(a, b);
}
inline Vec v_mul(Vec a, Vec b) {
  return _mm256_mul_ps(a, b);
}
inline Vec v_div(Vec a, Vec b) {
  return _mm256_div_ps(a, b);
}
inline Vec v_fma(Vec a, Vec b, Vec c) {
  return _mm256_fmadd_ps(a, b, c);
}
// A NaN in `a` yields `b` in both.
inline Vec v_min(Vec a, Vec b) {
  return _mm256_min_ps(a, b);
}
inline Vec v_max(Vec a, Vec b) {
  return _mm256_max_ps(a, b);
}
inline Vec v_sqrt(Vec a) {
  return _mm256_sqrt_ps(a);
}
inline Vec v_abs(Vec a) {
  return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
inline Vec v_round(Vec a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// a where x > y, else b.
inline Vec v_select_gt(Vec x, Vec y, Vec a, Vec b) {
  return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, y, _CMP_GT_OQ));
}

// 2^n for integral n in [-126, 127].
inline Vec v_exp2i(Vec n) {
  const __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}
// x = m * 2^e with m in [1, 2), for positive normal x.
inline Vec v_exponent(Vec x) {
  const __m256i e = _mm256_srli_epi32(_mm256_castps_si256(x), 23);
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(e, _mm256_set1_epi32(127)));
}
inline Vec v_mantissa(Vec x) {
  const __m256i m = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x007fffff));
  return _mm256_castsi256_ps(_mm256_or_si256(m, _mm256_set1_epi32(0x3f800000)));
}

inline Vec v_load(const uint16_t * half) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(half)));
}
inline void v_store(uint16_t * half, Vec x) {
  _mm_storeu_si128(reinterpret_cast<__m128i *>(half),
                   _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}

inline Vec v_load(const int8_t * p) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p))));
}

inline float half_to_float(uint16_t h) {
  return _cvtsh_ss(h);
}
// Values must be integral and within a signed byte.
inline void v_store_s8(int8_t * p, Vec x) {
  const __m256i i32 = _mm256_cvtps_epi32(x);
  const __m128i i16 =
      _mm_packs_epi32(_mm256_castsi256_si128(i32), _mm256_extracti128_si256(i32, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i *>(p), _mm_packs_epi16(i16, i16));
}

inline float v_sum(Vec x) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
inline float v_largest(Vec x) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

inline void v_load_bf16_pairs(const uint16_t * p, Vec & first, Vec & second) {
  const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p));
  first = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
  second = _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(-65536)));
}

}  // namespace
}  // namespace voxhop::kernels

#include "kernels/body/lanes.h"
