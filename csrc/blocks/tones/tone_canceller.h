// Takes steady tones from a microphone. The design and its constants: docs/tones.md and
// voxhop.reference.tone_canceller.
#pragma once

#include <ggml.h>

#include <string>

#include "core/hop_builder.h"

namespace voxhop {

constexpr int64_t kToneHop = 256;  // samples

/// mic (kToneHop) -> the same without the tones that have been steady for a second; bit for bit the
/// same while none is known. State: 32 spectra of what is left, what was seen in each bin, 16
/// tones. A hop that is not finite, or louder than any audio, makes it forget them and passes.
ggml_tensor * tone_canceller(HopBuilder & b, const std::string & name, ggml_tensor * mic);

}  // namespace voxhop
