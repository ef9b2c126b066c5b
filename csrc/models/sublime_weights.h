// The tensors of Sublime's parts, bound by their published names.
#pragma once

#include <string>
#include <vector>

#include "blocks/block_set.h"
#include "blocks/signal/log_mel.h"
#include "core/tensor_store.h"
#include "models/sublime_config.h"

namespace voxhop {

/// y = x -> conv -> norm -> ff1 -> GELU -> ff2; x + y, or skip(x) + y where widths differ.
struct SublimeBlockWeights {
  Conv1d conv;
  RmsNorm norm;
  Linear ff1, ff2;
  std::optional<Linear> skip;
};

/// Encoder or front-end: mel features to queries or to scores of codes.
struct SublimeAnalysis {
  LogMel mel;
  std::vector<SublimeBlockWeights> blocks;
  size_t fast = 0;
  RmsNorm norm;
  Linear out;
  Weight keys;  // of the encoder

  int64_t macs() const;  // of a hop
};

/// A band decoder. A growing layer gives r C channels per bin that are C channels of r bins.
struct SublimeBandWeights {
  struct Stage {
    int64_t factor = 1;
    Linear grow;
    Bottleneck block;
  };
  int64_t start = 0;
  Linear in;  // gives C channels of `start` bins
  std::vector<Stage> stages;
};

struct SublimeSynthesis {
  Weight values;
  std::vector<SublimeBlockWeights> blocks;
  RmsNorm norm;
  std::vector<SublimeBandWeights> bands;
  Weight head_weight, head_bias;  // (3 time, 3 freq, C, 2)
  Weight phase_offsets;           // (bins, rows) in rad, where the file has them
  /// Rows in another order than the file's, channels innermost. Linear layers point into it.
  std::vector<std::vector<float>> reordered;

  int64_t macs() const;  // of a hop
};

SublimeAnalysis bind_sublime_encoder(const SublimeConfig & config, TensorStore & tensors);
SublimeAnalysis bind_sublime_front_end(const SublimeConfig & config, TensorStore & tensors);
SublimeSynthesis bind_sublime_decoder(const SublimeConfig & config, TensorStore & tensors);

/// One residual block: (C_in, n frames) -> (C_out, n). State: two frames of its input.
ggml_tensor * sublime_block(HopBuilder & b, const BlockSet & blocks,
                            const SublimeBlockWeights & weights, ggml_tensor * x);

/// z (width) -> log magnitude and phase (2, bins). State: of the blocks and band decoders.
ggml_tensor * sublime_vocoder(HopBuilder & b, const BlockSet & blocks,
                              const SublimeSynthesis & weights, ggml_tensor * z);

}  // namespace voxhop
