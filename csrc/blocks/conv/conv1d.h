// Causal convolution over frames, without a frequency axis.
#pragma once

#include <cstdint>
#include <string>

#include "core/tensor_store.h"

namespace voxhop {

/// y(t) = sum_j W_j x(t - 2 + j) + b, full over channels. The frames before a stream are zeros.
struct Conv1d {
  static constexpr int kTaps = 3;

  std::string name;  // state scope, unique in the model
  Weight weight;     // (3, C_in, C_out), the newest tap last
  Weight bias;       // (C_out)

  int64_t c_in() const { return weight.ne[1]; }
  int64_t c_out() const { return weight.ne[2]; }
  /// Weight of input j * C_in + c of the window's three frames in a row.
  double at(int64_t input, int64_t output) const {
    const int64_t tap = input / c_in(), c = input % c_in();
    return double{weight.data[(output * c_in() + c) * kTaps + tap]};
  }
};

}  // namespace voxhop
