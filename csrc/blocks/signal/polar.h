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

/// What is done to log magnitudes M before they become a spectrum: none lies above `limit`, and
/// with a `sharpness` each is moved by that share of its distance from the mean of those up to
/// `bins` away, away from it, and all by what keeps the energy.
struct Levels {
  float limit = 0.0f;
  double sharpness = 0.0;
  int64_t bins = 0;
};

/// e^M' (cos P, sin P) of M, P + offset: (2, F) -> (2, F). Always f32 in, double inside: P is
/// unbounded.
ggml_tensor * polar_spectrum(HopBuilder & b, const Levels & levels, const PhaseOffsets & offsets,
                             ggml_tensor * x);

}  // namespace voxhop
