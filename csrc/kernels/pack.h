// Weights in the order in which the kernels read them: panel after panel of octets, and
// inside a panel one row of 8 * octets channels per k. Channels beyond c_out are zero.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/kernels.h"

namespace voxhop::kernels {

/// A (k, c_out) matrix, row after row: what the packing functions read. Filled from a
/// formula once, because they read an element several times.
struct WeightMatrix {
  WeightMatrix(int k_rows, int columns)
      : k(k_rows),
        c_out(columns),
        values(static_cast<size_t>(k_rows) * static_cast<size_t>(columns)) {}

  /// Element (k, c) is `at(k, c)`: folding and permuting happen here.
  template <class At>
  WeightMatrix(int k_rows, int columns, At at) : WeightMatrix(k_rows, columns) {
    double * to = values.data();
    for (int row = 0; row < k; ++row) {
      for (int c = 0; c < c_out; ++c) *to++ = at(row, c);
    }
  }

  double operator()(int i, int c) const { return row(i)[c]; }
  double * row(int i) {
    return values.data() + static_cast<size_t>(i) * static_cast<size_t>(c_out);
  }
  const double * row(int i) const {
    return values.data() + static_cast<size_t>(i) * static_cast<size_t>(c_out);
  }

  int k;
  int c_out;
  std::vector<double> values;
};

/// Elements of a packed matrix: k * 8 * octets.
size_t packed_count(int k, int c_out);

/// Two k's of a channel side by side; w.k must be even.
void pack_bf16(const WeightMatrix & w, int max_octets, uint16_t * out);
/// Four k's of a channel side by side; w.k must be a multiple of 4 * taps. Fills
/// scale (8 * octets) with the value of one unit, max|w| / 127 of the channel, and
/// offset (taps, 8 * octets) with 128 * the tap's sum of units.
void pack_s8(const WeightMatrix & w, int max_octets, int taps, int8_t * out, float * scale,
             int32_t * offset);

/// The offset (8 * octets) of the first `prefix` k's, a multiple of 4, of a matrix of one tap that
/// pack_s8 packed.
void prefix_offset_s8(const int8_t * packed, int k_rows, int c_out, int max_octets, int prefix,
                      int32_t * offset);

/// A convolution's filter as a matrix, k = (tap * bins + bin) * c_in + ci, of which one input
/// channel is read at a time, as it lies in a file.
struct Filter {
  int taps, bins, c_in, c_out;
  /// Fills `tile` (taps * bins, n) with the weights of input `ci` to outputs [first, first + n).
  std::function<void(int ci, int first, int n, double * tile)> read;

  int k() const { return taps * bins * c_in; }
  WeightMatrix matrix() const;
};

/// As pack_f32 and pack_f16 of its matrix, into zeros, but faster.
void pack_filter_f32(const Filter & filter, int max_octets, float * out);
void pack_filter_f16(const Filter & filter, int max_octets, uint16_t * out);
/// Transformed filters of F(4, bins) along frequency, bins 3 or 4, into zeros: one packed matrix
/// per point, one after another, with k = tap * c_in + ci.
void pack_points_f32(const Filter & filter, int max_octets, float * out);
void pack_points_f16(const Filter & filter, int max_octets, uint16_t * out);

uint16_t to_half(float x);
float from_half(uint16_t h);
uint16_t to_bf16(float x);
float from_bf16(uint16_t h);

inline constexpr auto kToF32 = [](double value) { return static_cast<float>(value); };
inline constexpr auto kToF16 = [](double value) { return to_half(static_cast<float>(value)); };

/// Packs the matrix whose element (k, c) is `at(k, c)` as `to(at(k, c))`. `at` is called for a
/// few k's of a channel in a row, which lie side by side in files.
template <class At, class T, class To>
void pack_matrix(int k_rows, int c_out, int max_octets, const At & at, T * out, To to) {
  constexpr int kRows = 16;
  int left = octets_of(c_out);
  for (int first = 0; left > 0;) {
    const int octets = next_panel(left, max_octets);
    const int channels = kOctet * octets;
    const int end = std::min(channels, c_out - first);
    for (int k = 0; k < k_rows; k += kRows) {
      const int rows = std::min(kRows, k_rows - k);
      for (int c = 0; c < end; ++c) {
        for (int i = 0; i < rows; ++i) out[(k + i) * channels + c] = to(at(k + i, first + c));
      }
      for (int i = 0; i < rows; ++i) {
        std::fill(out + (k + i) * channels + end, out + (k + i + 1) * channels, to(0.0));
      }
    }
    out += k_rows * channels;
    first += channels;
    left -= octets;
  }
}

template <class At>
void pack_f32(int k_rows, int c_out, int max_octets, const At & at, float * out) {
  pack_matrix(k_rows, c_out, max_octets, at, out, kToF32);
}
template <class At>
void pack_f16(int k_rows, int c_out, int max_octets, const At & at, uint16_t * out) {
  pack_matrix(k_rows, c_out, max_octets, at, out, kToF16);
}

/// A vector's worth of depthwise weights at a time, see DepthwiseArgs. `at(i, c)`: row i of
/// n_rows (tap * k_bins + k, or the bias alone) of channel c; `out`: (phases, n_rows, width).
template <class At>
void pack_depthwise(int n_rows, int channels, int width, At at, float * out) {
  for (int phase = 0; phase < depthwise_phases(channels, width); ++phase) {
    for (int i = 0; i < n_rows; ++i) {
      for (int lane = 0; lane < width; ++lane) *out++ = at(i, (phase * width + lane) % channels);
    }
  }
}

/// Fills the tables of a 512-point transform with this analysis window.
void fill_fft_tables(const double * window, FftTables & tables);
void fill_lane_fft_tables(LaneFftTables & tables);

}  // namespace voxhop::kernels
