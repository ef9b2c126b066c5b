// Fused convolution blocks: encoder, skip, sub-pixel upsampling.
#include <cstring>

#include "blocks/fused_blocks.h"
#include "blocks/fused_conv.h"

namespace voxhop {
namespace fused {
namespace {

constexpr int kPatch = 16;  // 4 taps of 4 bins, side by side in the file

// As kernels::Filter::read says.
void read_patches(const Weight & w, int ci, int first, int n, double * tile) {
  const int64_t c_in = w.ne[2];
  const float * from = w.data.now() + (first * c_in + ci) * kPatch;
  for (int c = 0; c < n; ++c, from += c_in * kPatch) {
    for (int j = 0; j < kPatch; ++j) tile[j * n + c] = double{from[j]};
  }
}

// Runs `conv.run_ahead` in the prepare graph.
class AheadOp final : public CustomOp {
 public:
  explicit AheadOp(std::shared_ptr<const Conv> conv) : conv_(std::move(conv)) {}
  void run(const HopContext & context, ggml_tensor *) noexcept override {
    conv_->run_ahead(context);
  }

 private:
  std::shared_ptr<const Conv> conv_;
};

class ConvBlockOp final : public CustomOp {
 public:
  ConvBlockOp(std::shared_ptr<const Conv> conv, const RowNorm & norm, bool residual)
      : conv_(std::move(conv)), norm_(norm), residual_(residual) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const ggml_tensor * x = dst->src[0];
    const ConvTarget to{out_of(dst), residual_ ? data_of(x) : nullptr,
                        static_cast<int>(dst->ne[0])};
    conv_->run(context, &to, [&](float * row) { norm_.run(x, row); });
  }

 private:
  std::shared_ptr<const Conv> conv_;
  RowNorm norm_;
  bool residual_;
};

class UpsampleOp final : public CustomOp {
 public:
  UpsampleOp(std::shared_ptr<const Conv> conv, const RowNorm & norm, Shuffle shuffle)
      : conv_(std::move(conv)), norm_(norm), shuffle_(shuffle) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const ggml_tensor * x = dst->src[0];
    const auto C = static_cast<int>(dst->ne[0]);
    const bool halves = shuffle_ == Shuffle::kHalves;
    float * out = out_of(dst);
    const ConvTarget to[] = {{out, nullptr, halves ? C : 2 * C},
                             {out + (halves ? x->ne[1] * C : C), nullptr, halves ? C : 2 * C}};
    conv_->run(context, to, [&](float * row) { norm_.run(x, row); });
  }

 private:
  std::shared_ptr<const Conv> conv_;
  RowNorm norm_;
  Shuffle shuffle_;
};

class ConcatOp final : public CustomOp {
 public:
  void run(const HopContext &, ggml_tensor * dst) noexcept override {
    const auto a = static_cast<size_t>(dst->src[0]->ne[0]);
    const auto c = static_cast<size_t>(dst->src[1]->ne[0]);
    const float * x = data_of(dst->src[0]);
    const float * y = data_of(dst->src[1]);
    float * out = out_of(dst);
    for (int64_t bin = 0; bin < dst->ne[1]; ++bin, x += a, y += c, out += a + c) {
      std::memcpy(out, x, a * sizeof(float));
      std::memcpy(out + a, y, c * sizeof(float));
    }
  }
};

class SkipOp final : public CustomOp {
 public:
  SkipOp(const Dense & dense, const RowNorm & norm) : dense_(dense), norm_(norm) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const ggml_tensor * encoder = dst->src[1];
    kernels::ConvArgs a = dense_.args();
    a.end = static_cast<int>(dst->ne[1]);
    a.residual = data_of(dst->src[0]);
    a.out = out_of(dst);
    dense_.run(context, a, [&](const Piece & piece, kernels::ConvArgs & own) {
      auto * normed = reinterpret_cast<float *>(context.scratch_of(piece.worker));
      if (piece.first) norm_.run(encoder, normed);
      own.taps[0] = normed;
    });
  }

 private:
  Dense dense_;
  RowNorm norm_;
};

}  // namespace

std::shared_ptr<const Conv> make_conv(HopBuilder & b, const Target & target,
                                      const ConvSpec & spec) {
  auto conv = std::make_shared<const Conv>(b, target, spec);
  if (conv->ahead()) b.run_ahead(b.custom(std::make_unique<AheadOp>(conv), {1}, {}));
  return conv;
}

ConvSpec conv_spec(const std::string & key, const CausalConv & conv, Activation activation,
                   int64_t bins) {
  ConvSpec spec;
  spec.key = key;
  spec.c_in = static_cast<int>(conv.c_in());
  spec.c_out = static_cast<int>(conv.c_out());
  spec.bins_in = static_cast<int>(bins);
  spec.stride = conv.stride;
  spec.act = act_of(activation);
  spec.weights = [w = conv.weight](int ci, int first, int n, double * tile) {
    read_patches(w, ci, first, n, tile);
  };
  spec.bias = [w = conv.bias](int c) { return double{w.data[c]}; };
  return spec;
}

ConvSpec upsample_spec(const UpsampleBlock & block, int64_t bins) {
  ConvSpec spec = conv_spec(block.name, block.conv, block.activation, bins);
  spec.groups = 2;
  spec.c_out /= 2;
  if (block.scale) {
    spec.weights = [inner = spec.weights, scale = *block.scale, C = spec.c_out](
                       int ci, int first, int n, double * tile) {
      inner(ci, first, n, tile);
      for (int i = 0; i < kPatch * n; ++i) tile[i] *= double{scale.data[(first + i % n) % C]};
    };
    spec.bias = [inner = spec.bias, scale = *block.scale, C = spec.c_out](int c) {
      return inner(c) * double{scale.data[c % C]};
    };
  }
  if (block.shift) {
    spec.bias = [inner = spec.bias, shift = *block.shift, C = spec.c_out](int c) {
      return inner(c) + double{shift.data[c % C]};
    };
  }
  return spec;
}

}  // namespace fused

ggml_tensor * FusedBlocks::conv_block(HopBuilder & b, const ConvBlock & block,
                                      ggml_tensor * x) const {
  const HopBuilder::Scope scope(b, block.name);
  const fused::RowNorm norm(b, target_, block.norm);
  const auto conv = fused::make_conv(
      b, target_, fused::conv_spec(block.name, block.conv, block.activation, x->ne[1]));
  return b.custom(std::make_unique<fused::ConvBlockOp>(conv, norm, block.residual),
                  {block.conv.c_out(), conv->bins_out()}, {x});
}

ggml_tensor * FusedBlocks::concat(HopBuilder & b, ggml_tensor * x, ggml_tensor * y) const {
  return b.custom(std::make_unique<fused::ConcatOp>(), {x->ne[0] + y->ne[0], x->ne[1]}, {x, y});
}

ggml_tensor * FusedBlocks::skip(HopBuilder & b, const SkipBlock & block, ggml_tensor * x,
                                ggml_tensor * encoder) const {
  const int64_t C = block.bias.ne[0];
  const fused::RowNorm norm(b, target_, block.norm);
  const fused::Dense dense(
      b, target_, block.name, static_cast<int>(C), static_cast<int>(C),
      [&](int k, int c) { return double{block.weight.data[c * C + k]}; },
      [&](int c) { return double{block.bias.data[c]}; });
  b.shared_scratch(static_cast<size_t>(ggml_nelements(encoder)) * sizeof(float));
  return b.custom(std::make_unique<fused::SkipOp>(dense, norm), {C, x->ne[1]}, {x, encoder});
}

ggml_tensor * FusedBlocks::upsample(HopBuilder & b, const UpsampleBlock & block,
                                    ggml_tensor * x) const {
  const HopBuilder::Scope scope(b, block.name);
  const fused::RowNorm norm(b, target_, block.norm);
  const auto conv = fused::make_conv(b, target_, fused::upsample_spec(block, x->ne[1]));
  return b.custom(std::make_unique<fused::UpsampleOp>(conv, norm, block.shuffle),
                  {block.c_out(), 2 * x->ne[1]}, {x});
}

}  // namespace voxhop
