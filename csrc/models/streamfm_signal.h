// Stream.FM's transforms, noise and steps: custom ops, in stock graphs too.
#pragma once

#include <optional>
#include <vector>

#include "core/hop_builder.h"
#include "models/streamfm_config.h"

namespace voxhop {

/// Mel filters and their pseudo-inverse, (F, M) and (M, F) row-major.
struct FmMel {
  int64_t mels = 0;
  std::vector<float> filters, inverse;
};

/// (F) samples -> compressed spectrum (2, F): re, im of this hop and the one before, after
/// what the task does to it. State: the previous hop.
ggml_tensor * fm_analysis(HopBuilder & b, const StreamFmConfig & config, const FmMel * mel,
                          ggml_tensor * samples);

/// Mel magnitudes (M) -> compressed spectrum (2, F) without a phase, by the pseudo-inverse.
ggml_tensor * fm_from_mel(HopBuilder & b, const StreamFmConfig & config, const FmMel & mel,
                          ggml_tensor * bands);

/// Compressed spectrum (2, F) -> (F) samples. State: the frame's second half.
ggml_tensor * fm_synthesis(HopBuilder & b, const StreamFmConfig & config, ggml_tensor * spectrum);

/// How much noise the flow starts with, told from the damaged spectrum: l_i = ln(1 + mean of |Y|^2
/// over band i / 1e-3) of K frames, oldest first, sigma = exp(W_2 SiLU(W_1 l + b_1) + b_2) per band.
/// Weights row-major as torch stores them.
struct FmSpread {
  int64_t bands = 0, frames = 0, hidden = 0;
  std::vector<float> fc1, bias1, fc2, bias2;
};

/// Compressed spectrum (2, F) -> sigma (F). State: the levels of the frames before.
ggml_tensor * fm_spread(HopBuilder & b, const FmSpread & spread, ggml_tensor * y);

/// Complex normal noise, 1/2 per part: Philox4x32-10 with key = seed and counter = (frame, bin);
/// in hops in which the caller gives input `port`, that.
struct FmNoise {
  uint64_t seed = 0;
  size_t port = 0;
};

/// base (2, F) + sigma (F) times noise; `given` (2F) real parts first. State: the index of the
/// frame.
ggml_tensor * fm_noisy(HopBuilder & b, const FmNoise & noise, ggml_tensor * given,
                       ggml_tensor * base, ggml_tensor * sigma);

/// x + weight * slope, (2, F).
ggml_tensor * fm_step(HopBuilder & b, ggml_tensor * x, ggml_tensor * slope, double weight);

}  // namespace voxhop
