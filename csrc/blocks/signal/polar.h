// Log magnitude and phase to a spectrum.
#pragma once

#include <ggml.h>

#include <array>

#include "core/hop_builder.h"
#include "core/tensor_store.h"

namespace voxhop {

/// A frame's codes, those below `K` of which were sent: a frame of which none is of group `first_b`
/// or later is one of mode A.
struct SentCodes {
  ggml_tensor * codes = nullptr;  // (G)
  int64_t K = 0;
  int64_t first_b = 0;
};

/// What is done to log magnitudes M before they become a spectrum: none lies above `limit`, and
/// with a sharpness each is moved by that share of its distance from the mean of those up to
/// `bins` away, away from it, and all by what keeps the energy.
struct Levels {
  float limit = 0.0f;
  std::array<double, 2> sharpness{};  // of frames of mode A and of both
  int64_t bins = 0;
};

/// e^M' (cos P, sin P) of M, P + offset: (2, F) -> (2, F). The offset is row sum_g (g + 1) c_g mod
/// R of `offsets`, (F, R) in rad, over the codes that were sent; without a table there is none.
/// Always f32 in, double inside: P is unbounded.
ggml_tensor * polar_spectrum(HopBuilder & b, const Levels & levels, const Weight * offsets,
                             const SentCodes & sent, ggml_tensor * x);

}  // namespace voxhop
