// The convolution tile in int8, for ISAs that give Quads: four k's of every channel.
#pragma once

#include "kernels/body/conv.h"

namespace voxhop::kernels {
namespace {

// Every row has its own scale, so each tap's exact integer sum is scaled by itself.
struct S8Conv {
  using Weight = int8_t;
  static constexpr bool kOwnPanels = false;

  template <int H, int NB>
  static inline void tile(const ConvArgs & a, const int8_t * w, int bin, int channel, int valid) {
    Lanes<H> sum[NB];
#pragma GCC unroll 16
    for (int n = 0; n < NB; ++n) l_zero(sum[n]);
    const ptrdiff_t step = a.step;
    const int padded = kOctet * octets_of(a.c_out);
    Asking<H, NB> asking(a, w, a.n_taps * a.patch / 4);
    for (int tap = 0; tap < a.n_taps; ++tap) {
      const int8_t * x = static_cast<const int8_t *>(a.taps[tap]) + bin * step;
      Quads<H> acc[NB];
#pragma GCC unroll 16
      for (int n = 0; n < NB; ++n) q_start(acc[n], a.offset + tap * padded + channel);
      for (int k = 0; k < a.patch; k += 4) {
        QuadWeights<H> wk;
        q_load(wk, w);
        if constexpr (NB == 1) prefetch<32 * H>(w);
        asking.next();
#pragma GCC unroll 16
        for (int n = 0; n < NB; ++n) q_dot(acc[n], wk, x + n * step);
        w += 32 * H;
        x += 4;
      }
#pragma GCC unroll 16
      for (int n = 0; n < NB; ++n) q_scale(sum[n], acc[n], a.tap_scale[tap]);
    }
    Lanes<H> unit;
    l_load(unit, a.channel_scale + channel);
#pragma GCC unroll 16
    for (int n = 0; n < NB; ++n) {
      l_mul(sum[n], unit);
      if (a.bin_scale != nullptr) l_scale(sum[n], a.bin_scale[bin + n]);
      finish_bin(sum[n], a, bin + n, channel, valid);
    }
  }
};

}  // namespace
}  // namespace voxhop::kernels
