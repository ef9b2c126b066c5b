// Stream.FM's transforms and noise: custom ops that sum in double, in stock graphs too.
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

/// Frozen transforms of a model: rows of samples per coefficient, and of coefficients per
/// sample, both with window, orthonormal scale and (for the latter) overlap divisor inside.
struct FmTransforms {
  std::vector<float> analysis, synthesis;  // (2F, 2F)
};
FmTransforms make_fm_transforms(const StreamFmConfig & config);

/// (F) samples -> compressed spectrum (2, F): re, im of this hop and the one before, after
/// what the task does to it. State: the previous hop.
ggml_tensor * fm_analysis(HopBuilder & b, const StreamFmConfig & config,
                          const FmTransforms & transforms, const FmMel * mel,
                          ggml_tensor * samples);

/// Mel magnitudes (M) -> compressed spectrum (2, F) without a phase, by the pseudo-inverse.
ggml_tensor * fm_from_mel(HopBuilder & b, const StreamFmConfig & config, const FmMel & mel,
                          ggml_tensor * bands);

/// Compressed spectrum (2, F) -> (F) samples. State: the frame's second half.
ggml_tensor * fm_synthesis(HopBuilder & b, const StreamFmConfig & config,
                           const FmTransforms & transforms, ggml_tensor * spectrum);

/// Complex normal noise (2, F), 1/2 per part: Philox4x32-10 with key = seed and counter =
/// (frame, bin); or, in hops in which the caller gives input `port`, that: `given` (2F), real
/// parts first. State: the index of the frame.
ggml_tensor * fm_noise(HopBuilder & b, uint64_t seed, size_t port, ggml_tensor * given);

/// [1, 3, 3, 1] / 8 along bins: (C, F) -> (C, F / 2), and (C, F) -> (C, 2F) with gain 1/2.
ggml_tensor * fm_down(HopBuilder & b, ggml_tensor * x);
ggml_tensor * fm_up(HopBuilder & b, ggml_tensor * x);

}  // namespace voxhop
