// Convolution of each channel by itself: rows are read as plain runs of floats, because the
// weights are repeated until they fill whole vectors.
#pragma once

#include <stddef.h>

#include "kernels/body/math.h"

namespace voxhop::kernels {
namespace {

// Every vector of one phase, with the taps known to the compiler so that it keeps the weights
// in registers.
template <int Taps, int Bins>
inline void depthwise_phase(const DepthwiseArgs & a, const float * weights, Vec bias, int first,
                            int period, int whole) {
  Vec w[Taps * Bins];
#pragma GCC unroll 16
  for (int i = 0; i < Taps * Bins; ++i) w[i] = v_load(weights + i * kWidth);
  for (int at = first; at < whole; at += period) {
    Vec sum = bias;
#pragma GCC unroll 4
    for (int tap = 0; tap < Taps; ++tap) {
#pragma GCC unroll 8
      for (int k = 0; k < Bins; ++k) {
        sum = v_fma(v_load(a.rows[tap] + at + k * a.channels), w[tap * Bins + k], sum);
      }
    }
    v_store(a.out + at, sum);
  }
}

inline void depthwise_any(const DepthwiseArgs & a, const float * weights, Vec bias, int first,
                          int period, int whole) {
  for (int at = first; at < whole; at += period) {
    Vec sum = bias;
    const float * w = weights;
    for (int tap = 0; tap < a.n_taps; ++tap) {
      for (int k = 0; k < a.k_bins; ++k, w += kWidth) {
        sum = v_fma(v_load(a.rows[tap] + at + k * a.channels), v_load(w), sum);
      }
    }
    v_store(a.out + at, sum);
  }
}

void depthwise(const DepthwiseArgs & a) {
  const int n = a.bins * a.channels;
  const int whole = n / kWidth * kWidth;
  const int phases = depthwise_phases(a.channels, kWidth);
  const int period = phases * kWidth;
  const int count = a.n_taps * a.k_bins;
  for (int phase = 0; phase < phases; ++phase) {
    const float * weights = a.weights + static_cast<ptrdiff_t>(phase) * count * kWidth;
    const Vec bias = v_load(a.bias + phase * kWidth);
    if (a.n_taps == 3 && a.k_bins == 5) {
      depthwise_phase<3, 5>(a, weights, bias, phase * kWidth, period, whole);
    } else if (a.n_taps == 3 && a.k_bins == 3) {
      depthwise_phase<3, 3>(a, weights, bias, phase * kWidth, period, whole);
    } else {
      depthwise_any(a, weights, bias, phase * kWidth, period, whole);
    }
  }
  for (int at = whole; at < n; ++at) {
    const int phase = at / kWidth % phases, lane = at % kWidth;
    const float * w = a.weights + static_cast<ptrdiff_t>(phase) * count * kWidth + lane;
    float sum = a.bias[phase * kWidth + lane];
    for (int tap = 0; tap < a.n_taps; ++tap) {
      for (int k = 0; k < a.k_bins; ++k, w += kWidth) sum += *w * a.rows[tap][at + k * a.channels];
    }
    a.out[at] = sum;
  }
}

}  // namespace
}  // namespace voxhop::kernels
