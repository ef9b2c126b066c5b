// int8 sums without dot-product instructions, one channel after the other.
#pragma once

#include "kernels/body/lanes.h"

namespace voxhop::kernels {
namespace {

template <int H>
struct Quads {
  int32_t sum[8 * H];
};
template <int H>
struct QuadWeights {
  const int8_t * w;
};

template <int H>
inline void q_start(Quads<H> & acc, const int32_t *) {
  for (int c = 0; c < 8 * H; ++c) acc.sum[c] = 0;
}
template <int H>
inline void q_load(QuadWeights<H> & l, const int8_t * w) {
  l.w = w;
}
template <int H>
inline void q_dot(Quads<H> & acc, const QuadWeights<H> & w, const int8_t * x) {
  for (int c = 0; c < 8 * H; ++c) {
    acc.sum[c] +=
        w.w[4 * c] * x[0] + w.w[4 * c + 1] * x[1] + w.w[4 * c + 2] * x[2] + w.w[4 * c + 3] * x[3];
  }
}
template <int H>
inline void q_scale(Lanes<H> & sum, const Quads<H> & acc, float scale) {
  float exact[8 * H];  // |sum| < 2^24: 127 * 127 * 1024 k's
  for (int c = 0; c < 8 * H; ++c) exact[c] = static_cast<float>(acc.sum[c]);
  Lanes<H> x;
  l_load(x, exact);
  l_fma(sum, x, scale);
}

}  // namespace
}  // namespace voxhop::kernels
