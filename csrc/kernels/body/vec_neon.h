// Vectors of four floats for AArch64. Shapes chosen by reasoning (32 registers, four
// cycles of latency, two to four pipes), checked under emulation, not timed.
#pragma once

#include <arm_neon.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

namespace voxhop::kernels {
namespace {

using Vec = float32x4_t;
constexpr int kWidth = 4;

// 18 to 20 accumulators, up to 6 weights, and a register for each bin's value: GCC loads those first.
constexpr int kMaxOctets = 3;
constexpr int tile_bins(int octets) {
  return octets >= 3 ? 3 : (octets == 2 ? 5 : 8);
}

inline Vec v_zero() {
  return vdupq_n_f32(0.0f);
}
inline Vec v_set(float x) {
  return vdupq_n_f32(x);
}
inline Vec v_load(const float * p) {
  return vld1q_f32(p);
}
inline void v_store(float * p, Vec x) {
  vst1q_f32(p, x);
}
inline Vec v_add(Vec a, Vec b) {
  return vaddq_f32(a, b);
}
inline Vec v_sub(Vec a, Vec b) {
  return vsubq_f32(a, b);
}
inline Vec v_mul(Vec a, Vec b) {
  return vmulq_f32(a, b);
}
inline Vec v_div(Vec a, Vec b) {
  return vdivq_f32(a, b);
}
inline Vec v_fma(Vec a, Vec b, Vec c) {
  return vfmaq_f32(c, a, b);
}
// A NaN in `a` yields `b` in both.
inline Vec v_min(Vec a, Vec b) {
  return vbslq_f32(vcltq_f32(a, b), a, b);
}
inline Vec v_max(Vec a, Vec b) {
  return vbslq_f32(vcgtq_f32(a, b), a, b);
}
inline Vec v_sqrt(Vec a) {
  return vsqrtq_f32(a);
}
inline Vec v_abs(Vec a) {
  return vabsq_f32(a);
}
inline Vec v_round(Vec a) {
  return vrndnq_f32(a);
}
// a where x > y, else b.
inline Vec v_select_gt(Vec x, Vec y, Vec a, Vec b) {
  return vbslq_f32(vcgtq_f32(x, y), a, b);
}

// 2^n for integral n in [-126, 127].
inline Vec v_exp2i(Vec n) {
  const int32x4_t e = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
  return vreinterpretq_f32_s32(vshlq_n_s32(e, 23));
}
// x = m * 2^e with m in [1, 2), for positive normal x.
inline Vec v_exponent(Vec x) {
  const int32x4_t e = vshrq_n_s32(vreinterpretq_s32_f32(x), 23);
  return vcvtq_f32_s32(vsubq_s32(e, vdupq_n_s32(127)));
}
inline Vec v_mantissa(Vec x) {
  const int32x4_t m = vandq_s32(vreinterpretq_s32_f32(x), vdupq_n_s32(0x007fffff));
  return vreinterpretq_f32_s32(vorrq_s32(m, vdupq_n_s32(0x3f800000)));
}

inline Vec v_load(const uint16_t * p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
inline void v_store(uint16_t * p, Vec x) {
  vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x)));
}
inline Vec v_load(const int8_t * p) {
  uint32_t four;
  memcpy(&four, p, sizeof four);
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four))))));
}
inline float half_to_float(uint16_t h) {
  return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h))), 0);
}
// Values must be integral and within a signed byte.
inline void v_store_s8(int8_t * p, Vec x) {
  const int16x4_t i16 = vqmovn_s32(vcvtnq_s32_f32(x));
  const int8x8_t i8 = vqmovn_s16(vcombine_s16(i16, i16));
  const uint32_t four = vget_lane_u32(vreinterpret_u32_s8(i8), 0);
  memcpy(p, &four, sizeof four);
}
inline void v_load_bf16_pairs(const uint16_t * p, Vec & first, Vec & second) {
  const uint32x4_t pairs = vreinterpretq_u32_u16(vld1q_u16(p));
  first = vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16));
  second = vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff0000u)));
}

inline float v_sum(Vec x) {
  return vaddvq_f32(x);
}
inline float v_largest(Vec x) {
  return vmaxvq_f32(x);
}

}  // namespace
}  // namespace voxhop::kernels

#include "kernels/body/lanes.h"
