// The convolution on AMX tiles: sixteen bins of a row are one operand as they lie, rows of
// the tile `step` elements apart; sixteen channels of the weights, packed as for VNNI, are
// the other. Included after vec_avx512.h and quads_vnni.h.
#pragma once

#include "kernels/body/conv_s8.h"
#include "kernels/body/tiles.h"

namespace voxhop::kernels {
namespace {

constexpr int kTileRows = 16, kTileBytes = 64;

// Tiles 0 to 2 are sums; patches that are no multiple of 64 bytes end in smaller operands,
// so that nothing is read beyond them.
constexpr int kRowsWhole = 3, kWeightsWhole = 4, kRowsRest = 5, kWeightsRest = 6;

struct TilesBf16 {
  using Element = uint16_t;
  template <int Acc, int A, int B>
  static inline void dot() {
    tile_dot_bf16<Acc, A, B>();
  }
};
struct TilesS8 {
  using Element = int8_t;
  template <int Acc, int A, int B>
  static inline void dot() {
    tile_dot_s8<Acc, A, B>();
  }
};

// A panel of H octets and the block of bins in flight.
template <class Format, int H>
struct TilePanel {
  using Element = typename Format::Element;
  static constexpr int kTiles = (H + 1) / 2;
  static constexpr int kChannels = H == 1 ? 8 : 16;  // of a tile
  // Bytes between the k groups of a panel's packed weights: 4 per channel.
  static constexpr ptrdiff_t kWeightStride = 32 * H;

  // The last tile of an odd panel overlaps the one before: a channel done twice is the
  // same value, and no tile leaves the panel.
  static constexpr int first_channel(int tile) {
    return H > 1 && tile == kTiles - 1 ? 8 * H - 16 : 16 * tile;
  }

  static void configure(const ConvArgs & a, int rows) {
    const auto rest = static_cast<int>(a.patch * sizeof(Element)) % kTileBytes;
    TileConfig config;
    const auto shape = [&config](int tile, int tile_rows, int row_bytes) {
      config.rows[tile] = static_cast<uint8_t>(tile_rows);
      config.row_bytes[tile] = static_cast<uint16_t>(row_bytes);
    };
    for (int tile = 0; tile < kTiles; ++tile) shape(tile, rows, 4 * kChannels);
    shape(kRowsWhole, rows, kTileBytes);
    shape(kWeightsWhole, kTileRows, 4 * kChannels);
    if (rest > 0) {
      shape(kRowsRest, rows, rest);
      shape(kWeightsRest, rest / 4, 4 * kChannels);
    }
    tile_configure(config);
  }

  static inline void zero() {
    tile_zero<0>();
    if constexpr (kTiles > 1) tile_zero<1>();
    if constexpr (kTiles > 2) tile_zero<2>();
  }

  template <int Rows, int Weights>
  static inline void add(const char * x, ptrdiff_t stride, const char * w) {
    tile_load<Rows>(x, stride);
    tile_load<Weights>(w, kWeightStride);
    Format::template dot<0, Rows, Weights>();
    if constexpr (kTiles > 1) {
      tile_load<Weights>(w + 4 * first_channel(1), kWeightStride);
      Format::template dot<1, Rows, Weights>();
    }
    if constexpr (kTiles > 2) {
      tile_load<Weights>(w + 4 * first_channel(2), kWeightStride);
      Format::template dot<2, Rows, Weights>();
    }
  }

  // Adds one tap to the tiles; `w` is the tap's first weight. Returns the next tap's.
  static inline const char * add_tap(const ConvArgs & a, int tap, int bin, const char * w) {
    const auto stride = static_cast<ptrdiff_t>(a.step * sizeof(Element));
    const char * x = static_cast<const char *>(a.taps[tap]) + bin * stride;
    auto left = static_cast<int>(a.patch * sizeof(Element));
    for (; left >= kTileBytes; left -= kTileBytes) {
      add<kRowsWhole, kWeightsWhole>(x, stride, w);
      x += kTileBytes;
      w += kTileRows * kWeightStride;
    }
    if (left > 0) {
      add<kRowsRest, kWeightsRest>(x, stride, w);
      w += left / 4 * kWeightStride;
    }
    return w;
  }

  // The sums of a block, 32 bits each.
  struct Sums {
    static constexpr int kStep = 16 * kTiles;
    alignas(64) float v[kTileRows * kStep];
    const float * row(int n) const { return v + n * kStep; }
    float * row(int n) { return v + n * kStep; }
  };

  static inline void store(Sums & sums) {
    constexpr ptrdiff_t stride = Sums::kStep * sizeof(float);
    tile_store<0>(sums.v, stride);
    if constexpr (kTiles > 1) tile_store<1>(sums.v + first_channel(1), stride);
    if constexpr (kTiles > 2) tile_store<2>(sums.v + first_channel(2), stride);
  }
};

template <int H>
inline void tile_block(const ConvArgs & a, const uint16_t * weights, int bin, int bins, int channel,
                       int valid) {
  using Panel = TilePanel<TilesBf16, H>;
  const char * w = reinterpret_cast<const char *>(weights);
  Panel::zero();
  for (int tap = 0; tap < a.n_taps; ++tap) w = Panel::add_tap(a, tap, bin, w);
  typename Panel::Sums sums;
  Panel::store(sums);
  for (int n = 0; n < bins; ++n) {
    Lanes<H> acc;
    l_load(acc, sums.row(n));
    finish_bin(acc, a, bin + n, channel, valid);
  }
}

// Every row has its own scale, so each tap's exact sum is scaled by itself, in the order
// and with the rounding of S8Conv.
template <int H>
inline void tile_block(const ConvArgs & a, const int8_t * weights, int bin, int bins, int channel,
                       int valid) {
  using Panel = TilePanel<TilesS8, H>;
  const char * w = reinterpret_cast<const char *>(weights);
  typename Panel::Sums exact, sums;
  for (int tap = 0; tap < a.n_taps; ++tap) {
    Panel::zero();
    w = Panel::add_tap(a, tap, bin, w);
    Panel::store(exact);
    for (int n = 0; n < bins; ++n) {
      Lanes<H> sum;
      l_zero(sum);
      if (tap > 0) l_load(sum, sums.row(n));
      Quads<H> units;
      q_load(units, reinterpret_cast<const int8_t *>(exact.row(n)));
      q_scale(sum, units, a.tap_scale[tap]);
      l_store(sums.row(n), sum);
    }
  }
  Lanes<H> unit;
  l_load(unit, a.channel_scale + channel);
  for (int n = 0; n < bins; ++n) {
    Lanes<H> sum;
    l_load(sum, sums.row(n));
    l_mul(sum, unit);
    if (a.bin_scale != nullptr) l_scale(sum, a.bin_scale[bin + n]);
    finish_bin(sum, a, bin + n, channel, valid);
  }
}

template <class Format>
struct TileConv {
  using Weight = typename Format::Element;
  static constexpr bool kOwnPanels = true;

  template <int H>
  static void panel(const ConvArgs & a, const Weight * w, int channel) {
    const int valid = a.whole_octets ? 8 * H : a.c_out - channel;
    int configured = 0;
    for (int bin = a.begin; bin < a.end; bin += kTileRows) {
      const int bins = a.end - bin < kTileRows ? a.end - bin : kTileRows;
      if (bins != configured) TilePanel<Format, H>::configure(a, bins);
      configured = bins;
      tile_block<H>(a, w, bin, bins, channel, valid);
    }
  }
};

// Tiles are released after every call: while they hold something, every switch of threads
// saves and restores all of it.
template <class Format>
void conv_on_tiles(const ConvArgs & a) {
  conv<TileConv<Format>>(a);
  tile_release();
}

}  // namespace
}  // namespace voxhop::kernels
