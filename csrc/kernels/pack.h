// Weights in the order in which the kernels read them: panel after panel of octets, and
// inside a panel one row of 8 * octets channels per k. Channels beyond c_out are zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "kernels/kernels.h"

namespace voxhop::kernels {

/// A (k, c_out) matrix by element, so that folding and permuting need no copies.
struct WeightView {
  int k = 0;
  int c_out = 0;
  std::function<double(int k, int c)> at;
};

/// Elements of a packed matrix: k * 8 * octets.
size_t packed_count(int k, int c_out);

void pack_f32(const WeightView & w, int max_octets, float * out);
void pack_f16(const WeightView & w, int max_octets, uint16_t * out);
/// Two k's of a channel side by side; w.k must be even.
void pack_bf16(const WeightView & w, int max_octets, uint16_t * out);
/// Four k's of a channel side by side; w.k must be a multiple of 4 * taps. Fills
/// scale (8 * octets) with the value of one unit, max|w| / 127 of the channel, and
/// offset (taps, 8 * octets) with 128 * the tap's sum of units.
void pack_s8(const WeightView & w, int max_octets, int taps, int8_t * out, float * scale,
             int32_t * offset);

/// Transformed filters of F(4, 4) along frequency: point p's matrix has k = tap * c_in + ci.
/// `at(tap, bin, ci, c)` is the 4x4 filter. out: 7 packed matrices.
struct WinogradFilter {
  int c_in = 0;
  int c_out = 0;
  std::function<double(int tap, int bin, int ci, int c)> at;
};
WeightView winograd_point(const WinogradFilter & filter, int point);

uint16_t to_half(float x);
float from_half(uint16_t h);
uint16_t to_bf16(float x);
float from_bf16(uint16_t h);

/// Fills the tables of a 512-point transform with this analysis window.
void fill_fft_tables(const double * window, FftTables & tables);

}  // namespace voxhop::kernels
