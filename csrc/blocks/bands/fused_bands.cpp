#include <algorithm>

#include "blocks/bands/band_ops.h"
#include "blocks/dense/fused_dense.h"
#include "blocks/fused_blocks.h"

namespace voxhop {
namespace fused {
namespace {

struct EncoderLayer {
  Band band;
  const float * gain;
  PrefixDense projection;
};

class EncoderOp final : public CustomOp {
 public:
  EncoderOp(HopBuilder & b, const Target & target, const BandEncoder & block)
      : kernels_(target.kernels), eps_(block.bands[0].norm.eps) {
    int64_t widest = 0;
    size_t narrow = 0;
    for (const BandEncoder::Layer & l : block.bands) {
      layers_.push_back({l.band, packed_copy(b, l.norm.gain),
                         PrefixDense(b, target, l.projection, 3 * l.band.width)});
      widest = std::max(widest, l.band.width);
      narrow = std::max(narrow, layers_.back().projection.narrow_bytes(1));
    }
    narrow_at_ = align_up(static_cast<size_t>(3 * widest) * sizeof(float));
    b.shared_scratch(narrow_at_ + narrow);
  }

  // src: features.
  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * normed = reinterpret_cast<float *>(context.scratch);
    float * out = out_of(dst);
    for (const EncoderLayer & layer : layers_) {
      const int inputs = static_cast<int>(3 * layer.band.width);
      kernels_->rms_norm(
          {data_of(dst->src[0]) + 3 * layer.band.first, 1, inputs, layer.gain, eps_, normed});
      layer.projection.run(
          {normed, 1, kernels::Act::kNone, nullptr, out, context.scratch + narrow_at_});
      out += dst->ne[0];
    }
  }

 private:
  const kernels::KernelTable * kernels_;
  float eps_;
  size_t narrow_at_ = 0;
  std::vector<EncoderLayer> layers_;
};

struct DecoderLayer {
  Band band;
  const float * gain;
  PrefixDense hidden, output;
};

class DecoderOp final : public CustomOp {
 public:
  DecoderOp(HopBuilder & b, const Target & target, const BandDecoder & block, int64_t width)
      : kernels_(target.kernels),
        eps_(block.bands[0].norm.eps),
        normed_(width),
        hidden_(block.bands[0].hidden.outputs) {
    int64_t widest = 0;
    size_t narrow = 0;
    for (const BandDecoder::Layer & l : block.bands) {
      layers_.push_back({l.band, packed_copy(b, l.norm.gain),
                         PrefixDense(b, target, l.hidden, width),
                         PrefixDense(b, target, l.output, hidden_)});
      widest = std::max(widest, l.band.width);
      const DecoderLayer & layer = layers_.back();
      narrow = std::max({narrow, layer.hidden.narrow_bytes(1), layer.output.narrow_bytes(1)});
    }
    narrow_at_ = align_up(static_cast<size_t>(normed_ + hidden_ + 6 * widest) * sizeof(float));
    b.shared_scratch(narrow_at_ + narrow);
  }

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * normed = reinterpret_cast<float *>(context.scratch);
    float * hidden = normed + normed_;
    float * halves = hidden + hidden_;
    const float * x = data_of(dst->src[0]);
    for (const DecoderLayer & layer : layers_) {
      const auto w = static_cast<int>(layer.band.width);
      kernels_->rms_norm({x, 1, static_cast<int>(normed_), layer.gain, eps_, normed});
      std::byte * narrow = context.scratch + narrow_at_;
      layer.hidden.run({normed, 1, kernels::Act::kTanh, nullptr, hidden, narrow});
      layer.output.run({hidden, 1, kernels::Act::kNone, nullptr, halves, narrow});
      gate(halves, w, halves + 4 * w, out_of(dst) + 2 * layer.band.first);
      x += normed_;
    }
  }

 private:
  // values (2 w) | gates (2 w) -> (2, w), through `rows`.
  void gate(const float * halves, int w, float * rows, float * out) const {
    kernels_->glu(halves, halves + 2 * w, rows, 2 * w);
    for (int i = 0; i < w; ++i) {
      out[2 * i] = rows[i];
      out[2 * i + 1] = rows[w + i];
    }
  }

  const kernels::KernelTable * kernels_;
  float eps_;
  int64_t normed_, hidden_;
  size_t narrow_at_ = 0;
  std::vector<DecoderLayer> layers_;
};

}  // namespace
}  // namespace fused

ggml_tensor * FusedBlocks::band_encoder(HopBuilder & b, const BandEncoder & block,
                                        ggml_tensor * spectrum) const {
  ggml_tensor * features = band_features(b, block, spectrum);
  auto op = std::make_unique<fused::EncoderOp>(b, target_, block);
  const auto K = static_cast<int64_t>(block.bands.size());
  return b.custom(std::move(op), {block.bands[0].projection.outputs, K}, {features});
}

ggml_tensor * FusedBlocks::band_decoder(HopBuilder & b, const BandDecoder & block,
                                        ggml_tensor * x) const {
  auto op = std::make_unique<fused::DecoderOp>(b, target_, block, x->ne[0]);
  const Band & last = block.bands.back().band;
  return b.custom(std::move(op), {2, last.first + last.width}, {x});
}

}  // namespace voxhop
