// Log magnitude and phase to a spectrum.
#pragma once

#include <ggml.h>

#include "core/hop_builder.h"
#include "core/tensor_store.h"

namespace voxhop {

/// What phases are turned by: row sum_g (g + 1) c_g mod R of a table of R, of a frame's codes c
/// below `K` (others were not sent).
struct PhaseOffsets {
  Weight table;                   // (F, R) in rad
  int64_t K = 0;                  // codes of a group
  ggml_tensor * codes = nullptr;  // (G); null: no offsets
};

/// e^min(M, limit) (cos P, sin P) of M, P + offset: (2, F) -> (2, F). Always f32 in, double
/// inside: P is unbounded.
ggml_tensor * polar_spectrum(HopBuilder & b, float limit, const PhaseOffsets & offsets,
                             ggml_tensor * x);

}  // namespace voxhop
