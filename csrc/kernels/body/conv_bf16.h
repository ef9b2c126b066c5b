// The convolution tile in bf16, for ISAs that give Pairs: two k's of every channel.
#pragma once

#include "kernels/body/conv.h"

namespace voxhop::kernels {
namespace {

struct Bf16Conv {
  using Weight = uint16_t;
  static constexpr bool kOwnPanels = false;

  template <int H, int NB>
  static inline void tile(const ConvArgs & a, const uint16_t * w, int bin, int channel, int valid) {
    Lanes<H> acc[NB];
#pragma GCC unroll 16
    for (int n = 0; n < NB; ++n) l_zero(acc[n]);
    const ptrdiff_t step = a.step;
    for (int tap = 0; tap < a.n_taps; ++tap) {
      const uint16_t * x = static_cast<const uint16_t *>(a.taps[tap]) + bin * step;
      for (int k = 0; k < a.patch; k += 2) {
        Pairs<H> wk;
        p_load(wk, w);
#pragma GCC unroll 16
        for (int n = 0; n < NB; ++n) p_fma(acc[n], wk, x + n * step);
        w += 16 * H;
        x += 2;
      }
    }
#pragma GCC unroll 16
    for (int n = 0; n < NB; ++n) finish_bin(acc[n], a, bin + n, channel, valid);
  }
};

}  // namespace
}  // namespace voxhop::kernels
