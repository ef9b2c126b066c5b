// H octets of one bin in whole vectors, for ISAs whose vectors hold one octet or less.
#pragma once

#include <stdint.h>
#include <string.h>

namespace voxhop::kernels {
namespace {

template <int H>
struct Lanes {
  static constexpr int kCount = 8 * H / kWidth;
  Vec v[kCount];
};

template <int H>
inline void l_zero(Lanes<H> & l) {
#pragma GCC unroll 8
  for (int i = 0; i < l.kCount; ++i) l.v[i] = v_zero();
}
template <int H, class T>
inline void l_load(Lanes<H> & l, const T * p) {
#pragma GCC unroll 8
  for (int i = 0; i < l.kCount; ++i) l.v[i] = v_load(p + kWidth * i);
}
template <int H>
inline void l_store(float * p, const Lanes<H> & l) {
#pragma GCC unroll 8
  for (int i = 0; i < l.kCount; ++i) v_store(p + kWidth * i, l.v[i]);
}
template <int H>
inline void l_fma(Lanes<H> & acc, const Lanes<H> & w, float x) {
  const Vec b = v_set(x);
#pragma GCC unroll 8
  for (int i = 0; i < acc.kCount; ++i) acc.v[i] = v_fma(w.v[i], b, acc.v[i]);
}
template <int H>
inline void l_add(Lanes<H> & acc, const Lanes<H> & x) {
#pragma GCC unroll 8
  for (int i = 0; i < acc.kCount; ++i) acc.v[i] = v_add(acc.v[i], x.v[i]);
}
template <int H>
inline void l_mul(Lanes<H> & acc, const Lanes<H> & x) {
#pragma GCC unroll 8
  for (int i = 0; i < acc.kCount; ++i) acc.v[i] = v_mul(acc.v[i], x.v[i]);
}
// acc = acc * gain + shift, rounded once where the CPU can.
template <int H>
inline void l_map(Lanes<H> & acc, const Lanes<H> & gain, const Lanes<H> & shift) {
#pragma GCC unroll 8
  for (int i = 0; i < acc.kCount; ++i) acc.v[i] = v_fma(acc.v[i], gain.v[i], shift.v[i]);
}
template <int H, class Fn>
inline void l_apply(Lanes<H> & l, Fn fn) {
#pragma GCC unroll 8
  for (int i = 0; i < l.kCount; ++i) l.v[i] = fn(l.v[i]);
}

// bf16 pairs without bf16 instructions: a pair is one 32-bit lane, whose two floats are
// its upper half and its lower half moved up.
template <int H>
struct Pairs {
  Lanes<H> first, second;
};

inline float bf16_to_float(uint16_t h) {
  const uint32_t bits = static_cast<uint32_t>(h) << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

template <int H>
inline void p_load(Pairs<H> & l, const uint16_t * p) {
#pragma GCC unroll 8
  for (int i = 0; i < l.first.kCount; ++i) {
    v_load_bf16_pairs(p + 2 * kWidth * i, l.first.v[i], l.second.v[i]);
  }
}
template <int H>
inline void p_fma(Lanes<H> & acc, const Pairs<H> & w, const uint16_t * x) {
  l_fma(acc, w.first, bf16_to_float(x[0]));
  l_fma(acc, w.second, bf16_to_float(x[1]));
}

}  // namespace
}  // namespace voxhop::kernels
