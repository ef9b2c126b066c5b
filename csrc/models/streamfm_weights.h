// The tensors of Stream.FM's networks, bound by their published names.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "blocks/block_set.h"
#include "core/tensor_store.h"
#include "models/streamfm_config.h"

namespace voxhop {

/// A causal 3x3 convolution, dense (freq and time as torch stores them: (time, freq, C_in,
/// C_out) in ggml's order) or a depthwise one and a 1x1.
struct FmConv {
  std::string name;
  std::optional<Weight> dense;
  std::optional<Weight> depthwise, pointwise;
  Weight bias;
  int64_t c_in = 0, c_out = 0;
  int64_t dilation = 1;
  bool spectra = false;  // its input is the spectra, which the engine orders re, im by turns
};

struct FmPointConv {
  Weight weight;  // (1, 1, C_in, C_out)
  Weight bias;
  bool spectra = false;
};

enum class FmResample { kNone, kDown, kUp };

struct FmBlock {
  BandMap norm0, norm1;
  FmConv conv0, conv1;
  std::optional<Weight> time_weight, time_bias;
  std::optional<FmPointConv> skip;
  FmResample resample = FmResample::kNone;
};

struct FmLevel {
  std::vector<FmBlock> down_blocks, up_blocks;
  std::optional<FmBlock> down, up;                  // to and from the next level
  std::optional<FmPointConv> input;                 // of the halved input
  std::vector<std::optional<FmPointConv>> combine;  // per up block
  BandMap head_norm;
  FmConv head;
};

struct FmNetwork {
  FmConv in;
  std::vector<FmLevel> levels;
  std::vector<FmBlock> middle;
  std::optional<Weight> freqs, fc1_weight, fc1_bias, fc2_weight, fc2_bias;
};

/// `prefix` "flow" (with time) or "pred" (without).
FmNetwork bind_fm_network(const StreamFmConfig & config, TensorStore & tensors,
                          const std::string & prefix, int64_t in_channels, bool timed);

/// Multiply-accumulates of one call.
int64_t macs(const StreamFmConfig & config, const FmNetwork & network);

}  // namespace voxhop
