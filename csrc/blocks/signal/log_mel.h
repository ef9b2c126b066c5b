// Logarithms of mel bands, from windows of several lengths.
#pragma once

#include <ggml.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/hop_builder.h"
#include "core/tensor_store.h"

namespace voxhop {

/// ln(max(sum_k w_mk |X_k|, floor)), X the transform of the newest n_fft samples under a
/// periodic Hann window, unscaled. All windows of a frame end with the same sample, and their
/// bands lie one after another. Computed in double: code decisions depend on them.
struct LogMel {
  struct Resolution {
    int64_t n_fft = 0;  // at least `hop`
    Weight filters;     // (n_fft / 2 + 1, bands)
  };
  std::string name;  // state scope, unique in the model
  std::vector<Resolution> resolutions;
  int64_t hop = 0;  // samples between frames
  double floor = 1e-5;

  int64_t bands() const;
  int64_t past() const;  // samples before a frame's newest `hop`
};

/// samples (n * hop) -> (bands, n), oldest frame first. State: the past samples.
ggml_tensor * log_mel(HopBuilder & b, const LogMel & block, ggml_tensor * samples);

}  // namespace voxhop
