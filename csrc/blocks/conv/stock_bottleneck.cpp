#include "blocks/stock_blocks.h"
#include "blocks/stock_ops.h"

namespace voxhop {
namespace {

// A sum of shifted products, one per tap. State `name`: the padded rows of past frames.
ggml_tensor * depthwise(HopBuilder & b, const std::string & name, const Depthwise & conv,
                        ggml_tensor * x) {
  ggml_context * g = b.ggml();
  const int64_t C = x->ne[0];
  const int64_t F = x->ne[1];
  const auto pad = static_cast<int>(conv.bins() / 2);
  ggml_tensor * window =
      stock::with_history(b, name, stock::pad_bins(b, x, pad, pad), conv.times() - 1);
  const float * taps = b.weights().floats(
      conv.weight.name + "/taps", static_cast<size_t>(conv.weight.count()), [&](float * out) {
        for (int64_t t = 0; t < conv.times(); ++t) {
          for (int64_t f = 0; f < conv.bins(); ++f) {
            for (int64_t c = 0; c < C; ++c) *out++ = conv.at(t, f, c);
          }
        }
      });
  ggml_tensor * sum = stock::leaf(b, conv.bias, {C});
  for (int64_t t = 0; t < conv.times(); ++t) {
    for (int64_t f = 0; f < conv.bins(); ++f) {
      const size_t at =
          static_cast<size_t>(t) * window->nb[2] + static_cast<size_t>(f) * window->nb[1];
      ggml_tensor * shifted = ggml_view_2d(b.ggml(), window, C, F, window->nb[1], at);
      ggml_tensor * weight = b.constant(taps + (t * conv.bins() + f) * C, {C});
      sum = ggml_add(g, ggml_mul(g, shifted, weight), sum);
    }
  }
  return sum;
}

}  // namespace

ggml_tensor * StockBlocks::bottleneck(HopBuilder & b, const Bottleneck & block,
                                      ggml_tensor * x) const {
  const HopBuilder::Scope scope(b, block.name);
  ggml_tensor * y = depthwise(b, "inner", block.inner, x);
  y = StockBlocks::rms_norm(b, block.norm, y);
  y = StockBlocks::linear(b, block.expand, y, Activation::kNone, nullptr, 1.0f);
  y = ggml_geglu_erf(b.ggml(), y);
  y = depthwise(b, "outer", block.outer, y);
  return StockBlocks::linear(b, block.project, y, Activation::kNone, x, 1.0f);
}

}  // namespace voxhop
