// The ends of the band networks that both block sets share.
#pragma once

#include "blocks/bands/bands.h"
#include "core/hop_builder.h"

namespace voxhop {

/// Spectrum (2, F) -> features (3 F): band by band re, im, log magnitude. f32, logarithms in
/// double.
ggml_tensor * band_features(HopBuilder & b, const BandEncoder & block, ggml_tensor * spectrum);

}  // namespace voxhop
