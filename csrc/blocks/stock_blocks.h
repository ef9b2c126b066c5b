// Every operation written with ggml's own ops: the meaning, and the oracle for fused sets.
#pragma once

#include "blocks/block_set.h"

namespace voxhop {

/// f32 only. A fused set derives from it and overrides what it has kernels for.
class StockBlocks : public BlockSet {
 public:
  const char * name() const override { return "stock"; }
  const char * isa() const override { return "ggml"; }
  const char * precision() const override { return "f32"; }

  ggml_tensor * analysis(HopBuilder & b, const Filterbank & bank,
                         ggml_tensor * samples) const override;
  ggml_tensor * synthesis(HopBuilder & b, const Filterbank & bank,
                          ggml_tensor * spectrum) const override;
  ggml_tensor * features(HopBuilder & b, float exponent, ggml_tensor * z) const override;
  ggml_tensor * conv_block(HopBuilder & b, const ConvBlock & block, ggml_tensor * x) const override;
  ggml_tensor * silu_map(HopBuilder & b, const BandMap & map, ggml_tensor * x) const override;
  ggml_tensor * conv3x3(HopBuilder & b, const Conv3x3 & conv, ggml_tensor * x,
                        ggml_tensor * residual, float scale) const override;
  ggml_tensor * sum(HopBuilder & b, ggml_tensor * x, ggml_tensor * y, float scale) const override;
  ggml_tensor * halve_bins(HopBuilder & b, ggml_tensor * x) const override;
  ggml_tensor * double_bins(HopBuilder & b, ggml_tensor * x) const override;
  ggml_tensor * conv1d(HopBuilder & b, const Conv1d & conv, ggml_tensor * x) const override;
  ggml_tensor * bottleneck(HopBuilder & b, const Bottleneck & block,
                           ggml_tensor * x) const override;
  ggml_tensor * concat(HopBuilder & b, ggml_tensor * x, ggml_tensor * y) const override;
  ggml_tensor * skip(HopBuilder & b, const SkipBlock & block, ggml_tensor * x,
                     ggml_tensor * encoder) const override;
  ggml_tensor * upsample(HopBuilder & b, const UpsampleBlock & block,
                         ggml_tensor * x) const override;
  Aligned align(HopBuilder & b, const AlignBlock & block, ggml_tensor * mic,
                ggml_tensor * ref) const override;
  ggml_tensor * s4d(HopBuilder & b, const S4dBlock & block, ggml_tensor * x) const override;
  ggml_tensor * mask_head(HopBuilder & b, const MaskHead & head, ggml_tensor * x,
                          ggml_tensor * spectrum) const override;
  ggml_tensor * comfort_noise(HopBuilder & b, const ComfortNoise & block, ggml_tensor * z,
                              ggml_tensor * mic, ggml_tensor * ref) const override;
  EchoEstimate echo_filter(HopBuilder & b, const EchoFilter & filter, ggml_tensor * mic,
                           ggml_tensor * ref) const override;
  ggml_tensor * linear(HopBuilder & b, const Linear & linear, ggml_tensor * x,
                       Activation activation, ggml_tensor * residual, float scale) const override;
  ggml_tensor * rms_norm(HopBuilder & b, const RmsNorm & norm, ggml_tensor * x) const override;
  ggml_tensor * time_attention(HopBuilder & b, const TimeAttention & block, ggml_tensor * rotary,
                               const QueryKeyValue & x) const override;
  ggml_tensor * band_attention(HopBuilder & b, const BandAttention & block,
                               const QueryKeyValue & x) const override;
  ggml_tensor * band_encoder(HopBuilder & b, const BandEncoder & block,
                             ggml_tensor * spectrum) const override;
  ggml_tensor * band_decoder(HopBuilder & b, const BandDecoder & block,
                             ggml_tensor * x) const override;
};

}  // namespace voxhop
