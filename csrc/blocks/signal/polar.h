// Log magnitude and phase to a spectrum.
#pragma once

#include <ggml.h>

#include "core/hop_builder.h"

namespace voxhop {

/// e^min(M, limit) (cos P, sin P) of M, P: (2, F) -> (2, F). Always f32 in, double inside: P is
/// unbounded.
ggml_tensor * polar_spectrum(HopBuilder & b, float limit, ggml_tensor * x);

}  // namespace voxhop
