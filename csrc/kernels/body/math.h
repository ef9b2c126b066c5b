// Vector exp, log and the activations. Series coefficients are plain Taylor terms: the
// reduced arguments are small enough that the next term is below float precision.
#pragma once

#include "kernels/kernels.h"

namespace voxhop::kernels {
namespace {

// Relative error about 2e-7 on [-87, 88]; clamped outside.
inline Vec v_exp(Vec x) {
  x = v_min(v_max(x, v_set(-87.0f)), v_set(88.0f));
  const Vec n = v_round(v_mul(x, v_set(1.44269504f)));
  // ln 2 in two parts, the first exact in n * part for |n| < 2^9.
  Vec r = v_fma(n, v_set(-0.693359375f), x);
  r = v_fma(n, v_set(2.12194440e-4f), r);
  Vec p = v_set(1.0f / 5040.0f);
  p = v_fma(p, r, v_set(1.0f / 720.0f));
  p = v_fma(p, r, v_set(1.0f / 120.0f));
  p = v_fma(p, r, v_set(1.0f / 24.0f));
  p = v_fma(p, r, v_set(1.0f / 6.0f));
  p = v_fma(p, r, v_set(0.5f));
  p = v_fma(p, r, v_set(1.0f));
  p = v_fma(p, r, v_set(1.0f));
  return v_mul(p, v_exp2i(n));
}

// Natural logarithm of positive normal x: ln m = 2 atanh((m - 1) / (m + 1)).
inline Vec v_log(Vec x) {
  Vec e = v_exponent(x);
  Vec m = v_mantissa(x);
  const Vec limit = v_set(1.41421356f);
  e = v_add(e, v_select_gt(m, limit, v_set(1.0f), v_zero()));
  m = v_select_gt(m, limit, v_mul(m, v_set(0.5f)), m);
  const Vec s = v_div(v_sub(m, v_set(1.0f)), v_add(m, v_set(1.0f)));
  const Vec s2 = v_mul(s, s);
  Vec p = v_set(2.0f / 9.0f);
  p = v_fma(p, s2, v_set(2.0f / 7.0f));
  p = v_fma(p, s2, v_set(2.0f / 5.0f));
  p = v_fma(p, s2, v_set(2.0f / 3.0f));
  p = v_fma(p, s2, v_set(2.0f));
  return v_fma(e, v_set(0.693147181f), v_mul(p, s));
}

inline Vec v_relu6(Vec x) {
  return v_min(v_max(x, v_zero()), v_set(6.0f));
}
inline Vec v_sigmoid(Vec x) {
  return v_div(v_set(1.0f), v_add(v_set(1.0f), v_exp(v_sub(v_zero(), x))));
}
inline Vec v_silu(Vec x) {
  return v_div(x, v_add(v_set(1.0f), v_exp(v_sub(v_zero(), x))));
}
// exp(x) - 1 loses digits near zero, where its series is exact enough instead.
inline Vec v_elu(Vec x) {
  const Vec small = v_set(-0.25f);
  Vec p = v_set(1.0f / 5040.0f);
  p = v_fma(p, x, v_set(1.0f / 720.0f));
  p = v_fma(p, x, v_set(1.0f / 120.0f));
  p = v_fma(p, x, v_set(1.0f / 24.0f));
  p = v_fma(p, x, v_set(1.0f / 6.0f));
  p = v_fma(p, x, v_set(0.5f));
  p = v_fma(p, x, v_set(1.0f));
  const Vec negative = v_select_gt(x, small, v_mul(p, x), v_sub(v_exp(x), v_set(1.0f)));
  return v_select_gt(x, v_zero(), x, negative);
}

// Rational approximation of erf by Abramowitz and Stegun (7.1.26), error 1.5e-7.
inline Vec v_gelu(Vec x) {
  const Vec z = v_mul(v_abs(x), v_set(0.707106781f));
  const Vec t = v_div(v_set(1.0f), v_fma(z, v_set(0.3275911f), v_set(1.0f)));
  Vec p = v_set(1.061405429f);
  p = v_fma(p, t, v_set(-1.453152027f));
  p = v_fma(p, t, v_set(1.421413741f));
  p = v_fma(p, t, v_set(-0.284496736f));
  p = v_fma(p, t, v_set(0.254829592f));
  p = v_mul(v_mul(p, t), v_exp(v_sub(v_zero(), v_mul(z, z))));  // erfc(z)
  const Vec half = v_mul(v_set(0.5f), p);
  return v_mul(x, v_select_gt(x, v_zero(), v_sub(v_set(1.0f), half), half));
}
// 1 - 2 / (e^2x + 1) loses digits near zero, where its series is exact enough instead.
inline Vec v_tanh(Vec x) {
  const Vec x2 = v_mul(x, x);
  Vec p = v_set(62.0f / 2835.0f);
  p = v_fma(p, x2, v_set(-17.0f / 315.0f));
  p = v_fma(p, x2, v_set(2.0f / 15.0f));
  p = v_fma(p, x2, v_set(-1.0f / 3.0f));
  p = v_fma(v_mul(p, x2), x, x);
  const Vec e = v_add(v_exp(v_add(x, x)), v_set(1.0f));
  return v_select_gt(v_abs(x), v_set(0.25f), v_sub(v_set(1.0f), v_div(v_set(2.0f), e)), p);
}

template <class L>
inline void activate(L & lanes, Act act) {
  switch (act) {
    case Act::kNone:
      return;
    case Act::kRelu6:
      l_apply(lanes, [](Vec x) { return v_relu6(x); });
      return;
    case Act::kSilu:
      l_apply(lanes, [](Vec x) { return v_silu(x); });
      return;
    case Act::kGelu:
      l_apply(lanes, [](Vec x) { return v_gelu(x); });
      return;
    case Act::kTanh:
      l_apply(lanes, [](Vec x) { return v_tanh(x); });
      return;
    case Act::kSigmoid:
      l_apply(lanes, [](Vec x) { return v_sigmoid(x); });
      return;
    case Act::kElu:
      l_apply(lanes, [](Vec x) { return v_elu(x); });
      return;
  }
}

}  // namespace
}  // namespace voxhop::kernels
