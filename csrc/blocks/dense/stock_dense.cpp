#include "blocks/stock_blocks.h"
#include "blocks/stock_ops.h"

namespace voxhop {

ggml_tensor * StockBlocks::linear(HopBuilder & b, const Linear & linear, ggml_tensor * x,
                                  Activation activation, ggml_tensor * residual,
                                  float scale) const {
  ggml_context * g = b.ggml();
  ggml_tensor * full =
      b.constant(linear.weight.data.keep(), {linear.weight.ne[0], linear.weight.ne[1]});
  ggml_tensor * slice = ggml_view_2d(g, full, x->ne[0], linear.outputs, full->nb[1], 0);
  ggml_tensor * y = ggml_mul_mat(g, slice, x);
  if (linear.bias.data) {
    y = ggml_add(g, y, b.constant(linear.bias.data.keep(), {linear.outputs}));
  }
  y = stock::activated(b, activation, y);
  return residual != nullptr ? sum(b, residual, y, scale) : y;
}

ggml_tensor * StockBlocks::rms_norm(HopBuilder & b, const RmsNorm & norm, ggml_tensor * x) const {
  ggml_tensor * y = ggml_rms_norm(b.ggml(), x, norm.eps);
  return ggml_mul(b.ggml(), y, b.constant(norm.gain.data.keep(), {x->ne[0]}));
}

}  // namespace voxhop
