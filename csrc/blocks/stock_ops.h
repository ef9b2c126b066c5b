// Small graph pieces that several stock blocks share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "blocks/block_set.h"

namespace voxhop::stock {

/// A whole weight as a leaf of the given ggml shape.
ggml_tensor * leaf(HopBuilder & b, const Weight & weight, std::initializer_list<int64_t> ne);

/// (A, B, 1) -> (A, B, frames + 1): the last `frames` hops' values of `frame`, oldest first,
/// then this one. State `name`: (A, B, frames).
ggml_tensor * with_history(HopBuilder & b, const std::string & name, ggml_tensor * frame,
                           int64_t frames);

/// Patches of `window` (C, P, T), `taps` wide and `stride` apart along P:
/// -> (taps * C * T, n_out), each column frame-major, then position, then channel.
ggml_tensor * unfold(HopBuilder & b, ggml_tensor * window, int64_t taps, int64_t stride);

/// Zero frames before and after along the second dimension.
ggml_tensor * pad_bins(HopBuilder & b, ggml_tensor * x, int left, int right);

ggml_tensor * normed(HopBuilder & b, const std::optional<Norm> & norm, ggml_tensor * x);
ggml_tensor * activated(HopBuilder & b, Activation activation, ggml_tensor * x);

/// The convolution with its bias. State `name`.history: 3 frames (C_in, F + 3).
ggml_tensor * causal_conv(HopBuilder & b, const std::string & name, const CausalConv & conv,
                          ggml_tensor * x);

/// Weight of a (time, position) convolution, from (position, time, C_in, C_out) in the file
/// to rows of unfold()'s column order.
const float * column_weight(HopBuilder & b, const Weight & weight);

}  // namespace voxhop::stock
