// int8 sums by dot products where the file may use them, else by 8-bit multiplication into 16
// bits: exact, because two products of values within +-127 fit there.
#pragma once

#include "kernels/body/vec_neon.h"

namespace voxhop::kernels {
namespace {

// Four channels a vector.
template <int H>
struct Quads {
  int32x4_t v[2 * H];
};
template <int H>
struct QuadWeights {
  int8x16_t v[2 * H];
};

template <int H>
inline void q_start(Quads<H> & acc, const int32_t *) {
#pragma GCC unroll 8
  for (int i = 0; i < 2 * H; ++i) acc.v[i] = vdupq_n_s32(0);
}
template <int H>
inline void q_load(QuadWeights<H> & l, const int8_t * w) {
#pragma GCC unroll 8
  for (int i = 0; i < 2 * H; ++i) l.v[i] = vld1q_s8(w + 16 * i);
}
template <int H>
inline void q_dot(Quads<H> & acc, const QuadWeights<H> & w, const int8_t * x) {
  int32_t bits;
  memcpy(&bits, x, sizeof bits);
  const int8x16_t four = vreinterpretq_s8_s32(vdupq_n_s32(bits));
#pragma GCC unroll 8
  for (int i = 0; i < 2 * H; ++i) {
#if defined(__ARM_FEATURE_DOTPROD)
    acc.v[i] = vdotq_s32(acc.v[i], w.v[i], four);
#else
    const int16x8_t low = vmull_s8(vget_low_s8(w.v[i]), vget_low_s8(four));
    const int16x8_t high = vmull_high_s8(w.v[i], four);
    acc.v[i] = vpadalq_s16(acc.v[i], vpaddq_s16(low, high));
#endif
  }
}
template <int H>
inline void q_scale(Lanes<H> & sum, const Quads<H> & acc, float scale) {
  const Vec s = v_set(scale);
#pragma GCC unroll 8
  for (int i = 0; i < 2 * H; ++i) sum.v[i] = v_fma(vcvtq_f32_s32(acc.v[i]), s, sum.v[i]);
}

}  // namespace
}  // namespace voxhop::kernels
