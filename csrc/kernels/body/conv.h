// The convolution tile: a panel of output channels times a few bins, kept in registers
// over all taps and patch elements. Included after one of the vec_*.h files.
#pragma once

#include "kernels/body/math.h"

namespace voxhop::kernels {
namespace {

template <int H>
inline void l_scale(Lanes<H> & lanes, float scale) {
  const Vec s = v_set(scale);
  l_apply(lanes, [s](Vec v) { return v_mul(v, s); });
}

template <int H>
struct Tail {
  alignas(64) float v[8 * H];
};

// A bin's sums as finish_bin takes them. Where their address leaves a tile, GCC 12 stores all of
// them in every turn of its loop on 64-bit Arm.
#if defined(__aarch64__)
template <int H>
using Finished = Lanes<H>;
#else
template <int H>
using Finished = Lanes<H> &;
#endif

// The epilogue of one bin; writes `valid` channels.
template <int H>
inline void finish_bin(Finished<H> acc, const ConvArgs & a, int bin, int channel, int valid) {
  if (a.init != nullptr) {
    Lanes<H> init;
    l_load(init, a.init + static_cast<ptrdiff_t>(bin) * (kOctet * octets_of(a.c_out)) + channel);
    l_add(acc, init);
  }
  if (a.bias != nullptr) {
    Lanes<H> bias;
    l_load(bias, a.bias + channel);
    l_add(acc, bias);
  }
  if (a.map_gain != nullptr) {
    const ptrdiff_t row = static_cast<ptrdiff_t>(a.band(bin)) * (kOctet * octets_of(a.c_out));
    Lanes<H> gain, shift;
    l_load(gain, a.map_gain + row + channel);
    l_load(shift, a.map_shift + row + channel);
    l_map(acc, gain, shift);
  }
  activate(acc, a.act);
  const ptrdiff_t at = static_cast<ptrdiff_t>(bin) * a.out_step + channel;
  if (valid >= 8 * H) {
    if (a.residual != nullptr) {
      Lanes<H> residual;
      l_load(residual, a.residual + at);
      l_add(acc, residual);
    }
    if (a.scale != 1.0f) l_scale(acc, a.scale);
    l_store(a.out + at, acc);
    return;
  }
  Tail<H> tail;
  l_store(tail.v, acc);
  for (int c = 0; c < valid; ++c) {
    a.out[at + c] = (tail.v[c] + (a.residual != nullptr ? a.residual[at + c] : 0.0f)) * a.scale;
  }
}

// One bin reads its weights once, from wherever they are: `Bytes` of them are asked for long
// before. Measured at the pace of an application, f16: a quarter less time from 4 kB on.
constexpr ptrdiff_t kAhead = 4096;
template <int Bytes>
inline void prefetch(const void * p) {
  const char * at = static_cast<const char *>(p) + kAhead;
#pragma GCC unroll 4
  for (int i = 0; i < Bytes; i += 64) __builtin_prefetch(at + i);
}

// What a tile asks for while it computes, two lines of it per turn of the inner loop: as much as a
// tile's arithmetic hides. What is shorter than a tile's turns is left, and the widest tiles alone
// ask: most of the work is theirs, and GCC keeps the sums of narrower ones in memory for it.
template <int H, int NB>
struct Asking {
  static constexpr bool kAsks = NB > 1 && NB == tile_bins(H);
  static constexpr ptrdiff_t kStep = 128;

  Asking(const ConvArgs & a, const void * anything, int turns)
      : at(static_cast<const char *>(anything)) {
    if (!kAsks || a.ahead == nullptr) return;
    for (int i = 0; i < kAheads; ++i) {
      Ahead & ahead = a.ahead[i];
      if (ahead.end - ahead.at < turns * kStep) continue;
      at = ahead.at;
      step = kStep;
      ahead.at += turns * kStep;
      return;
    }
  }
  inline void next() {
    if constexpr (kAsks) {
      __builtin_prefetch(at, 0, 2);
      __builtin_prefetch(at + kStep / 2, 0, 2);
      at += step;
    }
  }

  const char * at;
  ptrdiff_t step = 0;
};

// f32 rows; weights f32, or f16 widened as they are read.
//
// GCC keeps acc in registers only if every index is a constant after unrolling; a test
// scans the inner loop for stack stores.
template <class W>
struct FloatConv {
  using Weight = W;
  static constexpr bool kOwnPanels = false;

  template <int H, int NB>
  static inline void tile(const ConvArgs & a, const W * w, int bin, int channel, int valid) {
    Lanes<H> acc[NB];
#pragma GCC unroll 16
    for (int n = 0; n < NB; ++n) l_zero(acc[n]);
    const ptrdiff_t step = a.step;
    Asking<H, NB> asking(a, w, a.n_taps * a.patch);
    for (int tap = 0; tap < a.n_taps; ++tap) {
      const float * x = static_cast<const float *>(a.taps[tap]) + bin * step;
      for (int k = 0; k < a.patch; ++k) {
        Lanes<H> wk;
        l_load(wk, w);
        if constexpr (NB == 1) prefetch<8 * H * static_cast<int>(sizeof(W))>(w);
        asking.next();
#pragma GCC unroll 16
        for (int n = 0; n < NB; ++n) l_fma(acc[n], wk, x[n * step]);
        w += 8 * H;
        ++x;
      }
    }
#pragma GCC unroll 16
    for (int n = 0; n < NB; ++n) finish_bin(acc[n], a, bin + n, channel, valid);
  }
};

// Tiles of NB bins while there are that many.
template <class Kernel, int H, int NB>
inline int conv_tiles(const ConvArgs & a, const typename Kernel::Weight * w, int bin, int channel,
                      int valid) {
  while (a.end - bin >= NB) {
    Kernel::template tile<H, NB>(a, w, bin, channel, valid);
    bin += NB;
  }
  return bin;
}

template <class Kernel, int H>
void conv_panel(const ConvArgs & a, const typename Kernel::Weight * w, int channel) {
  constexpr int widest = tile_bins(H);
  const int valid = a.whole_octets ? 8 * H : a.c_out - channel;
  int bin = conv_tiles<Kernel, H, widest>(a, w, a.begin, channel, valid);
  if constexpr (widest > 8) bin = conv_tiles<Kernel, H, 8>(a, w, bin, channel, valid);
  if constexpr (widest > 4) bin = conv_tiles<Kernel, H, 4>(a, w, bin, channel, valid);
  if constexpr (widest > 2) bin = conv_tiles<Kernel, H, 2>(a, w, bin, channel, valid);
  conv_tiles<Kernel, H, 1>(a, w, bin, channel, valid);
}

template <class Kernel, int H>
inline void conv_dispatch(const ConvArgs & a, const typename Kernel::Weight * w, int channel,
                          int octets) {
  if constexpr (H >= 1) {
    if (octets == H) {
      if constexpr (Kernel::kOwnPanels) {
        Kernel::template panel<H>(a, w, channel);
      } else {
        conv_panel<Kernel, H>(a, w, channel);
      }
    } else {
      conv_dispatch<Kernel, H - 1>(a, w, channel, octets);
    }
  }
}

template <class Kernel>
void conv(const ConvArgs & a) {
  const auto * w = static_cast<const typename Kernel::Weight *>(a.weights);
  const int packed = a.packed_patch > 0 ? a.packed_patch : a.patch;
  const ptrdiff_t k_total = static_cast<ptrdiff_t>(a.weight_taps) * packed;
  const ptrdiff_t k_first = static_cast<ptrdiff_t>(a.first_tap) * a.patch;
  int left = octets_of(a.c_out);
  for (int channel = 0; left > 0;) {
    const int octets = next_panel(left, kMaxOctets);
    if (channel >= kOctet * a.end_octet) break;
    if (channel >= kOctet * a.first_octet)
      conv_dispatch<Kernel, kMaxOctets>(a, w + k_first * 8 * octets, channel, octets);
    w += k_total * 8 * octets;
    channel += 8 * octets;
    left -= octets;
  }
}

}  // namespace
}  // namespace voxhop::kernels
