// One call of Stream.FM's causal U-Net.
#pragma once

#include <string>
#include <vector>

#include "core/hop_builder.h"
#include "models/streamfm_weights.h"

namespace voxhop {

/// SiLU(e(tau)), (4 nf) in double: constant per solver stage.
std::vector<double> fm_embedding(const FmNetwork & network, double tau);

/// x: spectra re, im by turns, (2n, F) -> (2, F). `embedding` null for the predictor. State
/// per convolution: the past 2 * dilation frames of its input, in the current scope; calls of
/// the same network in other scopes share weights and nothing else. `stage` names what is
/// packed for this embedding.
ggml_tensor * fm_call(HopBuilder & b, const BlockSet & blocks, const FmNetwork & network,
                      ggml_tensor * x, const std::vector<double> * embedding,
                      const std::string & stage);

}  // namespace voxhop
