// The portable table: four floats in the compiler's own vector type, which it lowers to
// whatever the baseline has (SSE on x86-64, plain code elsewhere).
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

namespace voxhop::kernels {
namespace {

typedef float Vec __attribute__((vector_size(16)));
typedef int32_t IVec __attribute__((vector_size(16)));
constexpr int kWidth = 4;

constexpr int kMaxOctets = 2;
constexpr int tile_bins(int octets) {
  return octets >= 2 ? 2 : 4;
}

inline Vec v_zero() {
  return Vec{0.0f, 0.0f, 0.0f, 0.0f};
}
inline Vec v_set(float x) {
  return Vec{x, x, x, x};
}
inline Vec v_load(const float * p) {
  Vec x;
  memcpy(&x, p, sizeof x);
  return x;
}
inline void v_store(float * p, Vec x) {
  memcpy(p, &x, sizeof x);
}
inline Vec v_add(Vec a, Vec b) {
  return a + b;
}
inline Vec v_sub(Vec a, Vec b) {
  return a - b;
}
inline Vec v_mul(Vec a, Vec b) {
  return a * b;
}
inline Vec v_div(Vec a, Vec b) {
  return a / b;
}
inline Vec v_fma(Vec a, Vec b, Vec c) {
  return a * b + c;
}
// A NaN in `a` yields `b` in both.
inline Vec v_min(Vec a, Vec b) {
  return a < b ? a : b;
}
inline Vec v_max(Vec a, Vec b) {
  return a > b ? a : b;
}
inline Vec v_sqrt(Vec a) {
  return Vec{sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])};
}
inline Vec v_abs(Vec a) {
  return Vec(IVec(a) & 0x7fffffff);
}
// To nearest even for |a| < 2^22, by the bits that adding 1.5 * 2^23 shifts out.
inline Vec v_round(Vec a) {
  const Vec magic = v_set(12582912.0f);
  return (a + magic) - magic;
}
// a where x > y, else b.
inline Vec v_select_gt(Vec x, Vec y, Vec a, Vec b) {
  return x > y ? a : b;
}

inline IVec v_to_int(Vec x) {
  return __builtin_convertvector(x, IVec);
}
// 2^n for integral n in [-126, 127].
inline Vec v_exp2i(Vec n) {
  return Vec((v_to_int(n) + 127) << 23);
}
// x = m * 2^e with m in [1, 2), for positive normal x.
inline Vec v_exponent(Vec x) {
  return __builtin_convertvector((IVec(x) >> 23) - 127, Vec);
}
inline Vec v_mantissa(Vec x) {
  return Vec((IVec(x) & 0x007fffff) | 0x3f800000);
}

// Half precision by integer arithmetic: 2^112 moves the exponent to float's bias, and
// makes subnormal halves normal.
inline float half_to_float(uint16_t h) {
  const uint32_t magnitude = static_cast<uint32_t>(h & 0x7fffu) << 13;
  float x;
  memcpy(&x, &magnitude, sizeof x);
  x *= 5.192296858534828e33f;
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (magnitude >= 0x0f800000u) bits |= 0x7f800000u;
  bits |= static_cast<uint32_t>(h & 0x8000u) << 16;
  memcpy(&x, &bits, sizeof x);
  return x;
}
inline uint16_t float_to_half(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000u;
  bits &= 0x7fffffffu;
  if (bits > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (bits >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (bits < 0x38800000u) {
    // Subnormal: adding 0.5 leaves the rounded mantissa in the low bits.
    float magnitude;
    memcpy(&magnitude, &bits, sizeof magnitude);
    magnitude += 0.5f;
    memcpy(&bits, &magnitude, sizeof bits);
    return static_cast<uint16_t>(sign | (bits - 0x3f000000u));
  }
  bits += 0xfffu + (bits >> 13 & 1u);
  return static_cast<uint16_t>(sign | ((bits - 0x38000000u) >> 13));
}
inline Vec v_load(const uint16_t * p) {
  return Vec{half_to_float(p[0]), half_to_float(p[1]), half_to_float(p[2]), half_to_float(p[3])};
}
inline Vec v_load(const int8_t * p) {
  return Vec{static_cast<float>(p[0]), static_cast<float>(p[1]), static_cast<float>(p[2]),
             static_cast<float>(p[3])};
}
inline void v_store(uint16_t * p, Vec x) {
  for (int i = 0; i < kWidth; ++i) p[i] = float_to_half(x[i]);
}
// Values must be integral and within a signed byte.
inline void v_store_s8(int8_t * p, Vec x) {
  for (int i = 0; i < kWidth; ++i) p[i] = static_cast<int8_t>(x[i]);
}
inline void v_load_bf16_pairs(const uint16_t * p, Vec & first, Vec & second) {
  IVec pairs;
  memcpy(&pairs, p, sizeof pairs);
  first = Vec(pairs << 16);
  second = Vec(pairs & static_cast<int32_t>(0xffff0000));
}

inline float v_sum(Vec x) {
  return (x[0] + x[2]) + (x[1] + x[3]);
}
inline float v_largest(Vec x) {
  const float a = x[0] > x[1] ? x[0] : x[1], b = x[2] > x[3] ? x[2] : x[3];
  return a > b ? a : b;
}

}  // namespace
}  // namespace voxhop::kernels

#include "kernels/body/lanes.h"
