// The vocoder's layers: residual blocks over frames, then a growing map of bins per band.
#include "models/sublime_weights.h"

namespace voxhop {
namespace {

ggml_tensor * reshaped(HopBuilder & b, ggml_tensor * x, int64_t channels) {
  return ggml_reshape_2d(b.ggml(), x, channels, ggml_nelements(x) / channels);
}

// (width) -> (C, end bins). A growing layer's r C channels of a bin lie as r bins of C do.
ggml_tensor * band_map(HopBuilder & b, const BlockSet & blocks, const SublimeBandWeights & w,
                       ggml_tensor * x) {
  const int64_t C = w.in.outputs / w.start;
  ggml_tensor * map = reshaped(b, blocks.linear(b, w.in, x), C);  // (C, start)
  for (const SublimeBandWeights::Stage & stage : w.stages) {
    map = reshaped(b, blocks.linear(b, stage.grow, map), C);
    map = blocks.bottleneck(b, stage.block, map);
  }
  return map;
}

}  // namespace

ggml_tensor * sublime_block(HopBuilder & b, const BlockSet & blocks,
                            const SublimeBlockWeights & weights, ggml_tensor * x) {
  ggml_tensor * residual = weights.skip ? blocks.linear(b, *weights.skip, x) : x;
  ggml_tensor * y = blocks.conv1d(b, weights.conv, x);
  y = blocks.rms_norm(b, weights.norm, y);
  y = blocks.linear(b, weights.ff1, y, Activation::kGelu);
  return blocks.linear(b, weights.ff2, y, Activation::kNone, residual);
}

ggml_tensor * sublime_vocoder(HopBuilder & b, const BlockSet & blocks,
                              const SublimeSynthesis & weights, ggml_tensor * z) {
  ggml_tensor * x = z;
  for (const SublimeBlockWeights & w : weights.blocks) x = sublime_block(b, blocks, w, x);
  x = blocks.rms_norm(b, weights.norm, x);
  ggml_tensor * all = nullptr;  // bins of the bands in a row
  for (const SublimeBandWeights & w : weights.bands) {
    ggml_tensor * band = band_map(b, blocks, w, x);
    band = reshaped(b, band, ggml_nelements(band));
    all = all == nullptr ? band : blocks.concat(b, all, band);
  }
  Conv3x3 head;
  head.state = "voc.out.hist";
  head.key = weights.head_weight.name;
  head.bias_key = weights.head_bias.name;
  head.c_in = weights.head_weight.ne[2];
  head.c_out = weights.head_weight.ne[3];
  head.exact = true;
  const Values w = weights.head_weight.data;
  const Values bias = weights.head_bias.data;
  head.weight = [w, C = head.c_in](int64_t o, int64_t c, int64_t bin, int64_t frame) {
    return double{w[((o * C + c) * Conv3x3::kTaps + bin) * Conv3x3::kTaps + frame]};
  };
  head.bias = [bias](int64_t o) { return double{bias[o]}; };
  return blocks.conv3x3(b, head, reshaped(b, all, head.c_in));
}

}  // namespace voxhop
