// A matrix in signed bytes, for a row at a time.
#pragma once

#include <string>
#include <vector>

#include "blocks/fused_target.h"

namespace voxhop::fused {

/// Where a single row meets a matrix, time is the matrix's bytes. Weights are bytes with a scale
/// per output; a row comes in `taps` pieces, each rounded to bytes with a scale of its own.
class ByteDense {
 public:
  /// `weight(k, c)`: k over all taps, taps * inputs of them; `bias` (c_out) may be null.
  template <class At>
  ByteDense(HopBuilder & b, const Target & target, const std::string & key, int taps, int inputs,
            int c_out, At weight, const Values & bias)
      : ByteDense(target, taps, inputs, c_out) {
    const auto fill = [&](void * out) {
      // Inputs are padded to whole groups of the kernel's.
      pack({taps * padded_, c_out,
            [&](int k, int c) {
              const int tap = k / padded_, i = k % padded_;
              return i < inputs ? weight(tap * inputs + i, c) : 0.0;
            }},
           out);
    };
    weights_ = static_cast<const std::byte *>(b.weights().get(key + "/bytes", bytes(), fill));
    if (!bias) return;
    bias_ = b.weights().floats(key + "/bytes_bias", octet_channels(), [&](float * out) {
      for (int c = 0; c < c_out; ++c) out[c] = bias[c];
    });
  }

  /// A piece of a row in bytes, and the value of one unit.
  struct Row {
    int8_t * values = nullptr;
    float scale = 0.0f;
  };
  /// x (inputs) -> a piece at `to`, which has room for row_bytes().
  size_t row_bytes() const { return static_cast<size_t>(padded_); }
  Row round(const float * x, std::byte * to) const;

  /// act(W x + b) + residual for one row in pieces, oldest first.
  void run(const Row * rows, kernels::Act act, const float * residual, float * out) const;

 private:
  ByteDense(const Target & target, int taps, int inputs, int c_out);
  size_t octet_channels() const;
  size_t bytes() const;
  void pack(const kernels::WeightMatrix & weight, void * out) const;

  const kernels::KernelTable * kernels_;
  int taps_, inputs_, padded_, c_out_;
  const std::byte * weights_ = nullptr;
  const float * bias_ = nullptr;
};

}  // namespace voxhop::fused
