// Every block as one custom op on our kernels; ggml carries the graph. Which instruction
// set and precision is settled when the set is made.
#pragma once

#include "blocks/fused_target.h"
#include "blocks/stock_blocks.h"

namespace voxhop {

class FusedBlocks final : public StockBlocks {
 public:
  explicit FusedBlocks(const fused::Target & target);

  const char * name() const override { return target_.winograd ? "fused" : "direct"; }
  const char * isa() const override { return target_.kernels->isa; }
  const char * precision() const override;

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

 private:
  fused::Target target_;
};

}  // namespace voxhop
