// Linear layers and norms whose width may be a prefix of the stored one.
#pragma once

#include <cstdint>

#include "core/tensor_store.h"

namespace voxhop {

/// y = W[:J', :I'] x + b[:J'], for each column of x. The input uses as many columns of W as x
/// has channels; the output takes the first `outputs` rows, whole segments of them.
struct Linear {
  Weight weight;        // (I, J)
  Weight bias;          // (J); none without data
  int64_t outputs = 0;  // J' <= J, a multiple of `segment`
  /// Rows that come and go together (a head's); 0: all J. J is a multiple of it.
  int64_t segment = 0;
  bool fine = false;  // never narrower than f16: decisions depend on it, or it is small
};

/// y_i = x_i gain_i / sqrt(mean_j x_j^2 + eps) over the channels that x has.
struct RmsNorm {
  Weight gain;  // at least as many as channels
  float eps = 1e-6f;
};

}  // namespace voxhop
