// Transforms of Toom-Cook F(4, 4) and F(4, 3) along frequency, in transposed form: y = A^T [(G g) *
// (B^T d)], where A^T evaluates at the points and B^T holds the coefficients of the
// Lagrange numerators. B^T scales with the products of point differences, which G divides
// by (pack.cpp), so all its entries are multiples of 1/2.
#pragma once

#include "kernels/body/math.h"

namespace voxhop::kernels {
namespace {

// Row i of B^T: coefficients, ascending, of prod_{j != i} (x - p_j) over the finite points 0, 1,
// -1, 2, -2 and, for r = 4, 1/2; last row: of the product over all of them.
//   r = 4: x (x^2 - 1)(x^2 - 4)(x - 1/2) = x^6 - x^5/2 - 5 x^4 + 5/2 x^3 + 4 x^2 - 2 x
template <int R>
inline void points_of(const Vec d[R + 3], Vec p[R + 3]) {
  const Vec two = v_set(2.0f), four = v_set(4.0f), five = v_set(5.0f), half = v_set(0.5f);
  // (x^2 - 1)(x^2 - 4) = x^4 - 5 x^2 + 4, shifted by s.
  const auto quartic = [&](int s) {
    return v_fma(four, d[s], v_sub(d[s + 4], v_mul(five, d[s + 2])));
  };
  const Vec q0 = quartic(0), q1 = quartic(1);
  // x (x^2 - 4) (x +- 1) and x (x^2 - 1) (x +- 2) of e; for r = 4 the factor (x - 1/2) is applied
  // once, by e_s = d[s + 1] - d[s] / 2.
  Vec e[5];
  if constexpr (R == 3) {
    p[0] = q0;
    p[5] = q1;
#pragma GCC unroll 5
    for (int s = 1; s < 5; ++s) e[s] = d[s];
  } else {
    const Vec q2 = quartic(2);
    p[0] = v_sub(q1, v_mul(half, q0));
    p[5] = q1;
    p[6] = v_sub(q2, v_mul(half, q1));
#pragma GCC unroll 5
    for (int s = 1; s < 5; ++s) e[s] = v_sub(d[s + 1], v_mul(half, d[s]));
  }
  const Vec a1 = v_sub(e[3], v_mul(four, e[1])), a2 = v_sub(e[4], v_mul(four, e[2]));
  p[1] = v_add(a2, a1);
  p[2] = v_sub(a2, a1);
  const Vec b1 = v_sub(e[3], e[1]), b2 = v_sub(e[4], e[2]);
  p[3] = v_fma(two, b1, b2);
  p[4] = v_sub(b2, v_mul(two, b1));
}

template <int R>
void winograd_in(const WinogradInArgs & a) {
  constexpr int points = winograd_points_of(R);
  const ptrdiff_t channels = a.channels;
  const ptrdiff_t plane = a.tiles * channels;
  for (int tile = a.begin; tile < a.end; ++tile) {
    const float * x = a.row + kWinogradTile * tile * channels;
    float * y = a.points + tile * channels;
    for (int c = 0; c < a.channels; c += kWidth) {
      // A partial vector is done as the last whole one, which overlaps its neighbour.
      const int at = c + kWidth <= a.channels ? c : a.channels - kWidth;
      Vec d[points], p[points];
#pragma GCC unroll 7
      for (int i = 0; i < points; ++i) d[i] = v_load(x + i * channels + at);
      points_of<R>(d, p);
#pragma GCC unroll 7
      for (int i = 0; i < points; ++i) v_store(y + i * plane + at, p[i]);
    }
  }
}

// A^T: outputs 0..3 are sums of products times powers 0..3 of the points; the point at
// infinity adds to the last.
template <int R>
inline void outputs_of(const Vec m[R + 3], Vec y[4]) {
  const Vec s1 = v_add(m[1], m[2]), d1 = v_sub(m[1], m[2]);
  const Vec s2 = v_add(m[3], m[4]), d2 = v_sub(m[3], m[4]);
  if constexpr (R == 3) {
    y[0] = v_add(v_add(m[0], s1), s2);
    y[1] = v_fma(v_set(2.0f), d2, d1);
    y[2] = v_fma(v_set(4.0f), s2, s1);
    y[3] = v_fma(v_set(8.0f), d2, v_add(d1, m[5]));
  } else {
    y[0] = v_add(v_add(m[0], s1), v_add(s2, m[5]));
    y[1] = v_fma(v_set(0.5f), m[5], v_fma(v_set(2.0f), d2, d1));
    y[2] = v_fma(v_set(0.25f), m[5], v_fma(v_set(4.0f), s2, s1));
    y[3] = v_fma(v_set(0.125f), m[5], v_fma(v_set(8.0f), d2, v_add(d1, m[6])));
  }
}

inline Vec v_activate(Vec x, Act act) {
  switch (act) {
    case Act::kRelu6:
      return v_relu6(x);
    case Act::kSilu:
      return v_silu(x);
    case Act::kElu:
      return v_elu(x);
    case Act::kNone:
      break;
  }
  return x;
}

template <int R>
void winograd_out(const WinogradOutArgs & a) {
  constexpr int points = winograd_points_of(R);
  const int padded = kOctet * octets_of(a.c_out);
  const ptrdiff_t plane = static_cast<ptrdiff_t>(a.tiles) * padded;
  for (int tile = a.begin; tile < a.end; ++tile) {
    const float * products = a.products + static_cast<ptrdiff_t>(tile) * padded;
    for (int c = a.first_channel; c < a.end_channel; c += kWidth) {
      // As in winograd_in: the last vector may overlap the one before it. Residual and
      // output never alias, so a value done twice is the same value.
      const int last = a.end_channel - kWidth;
      const int at = c <= last ? c : (last > 0 ? last : 0);
      const int n = a.end_channel - at < kWidth ? a.end_channel - at : kWidth;
      Vec m[points], y[4];
#pragma GCC unroll 7
      for (int i = 0; i < points; ++i) m[i] = v_load(products + i * plane + at);
      outputs_of<R>(m, y);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const int bin = kWinogradTile * tile + i;
        const ptrdiff_t to = static_cast<ptrdiff_t>(bin) * a.out_step + at;
        if (a.bias != nullptr) y[i] = v_add(y[i], v_load(a.bias + at));
        if (a.map_gain != nullptr) {
          const ptrdiff_t row = static_cast<ptrdiff_t>(a.band(bin)) * padded + at;
          y[i] = v_fma(y[i], v_load(a.map_gain + row), v_load(a.map_shift + row));
        }
        y[i] = v_activate(y[i], a.act);
        if (n == kWidth) {
          if (a.residual != nullptr) y[i] = v_add(y[i], v_load(a.residual + to));
          if (a.scale != 1.0f) y[i] = v_mul(y[i], v_set(a.scale));
          v_store(a.out + to, y[i]);
        } else {
          float tail[kWidth];
          v_store(tail, y[i]);
          for (int j = 0; j < n; ++j) {
            a.out[to + j] =
                (tail[j] + (a.residual != nullptr ? a.residual[to + j] : 0.0f)) * a.scale;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace voxhop::kernels
