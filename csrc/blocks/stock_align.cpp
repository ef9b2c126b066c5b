// Stock soft-delay alignment.
#include <cmath>

#include "blocks/stock_blocks.h"
#include "blocks/stock_ops.h"

namespace voxhop {
namespace {

// W x + b with x (C, F), as (F, h): transposed, so that scores are dot products over F.
ggml_tensor * projected(HopBuilder & b, const Weight & weight, const Weight & bias,
                        ggml_tensor * x) {
  const int64_t C = x->ne[0];
  const int64_t F = x->ne[1];
  const int64_t h = bias.ne[0];
  const float * rows = b.weights().floats(bias.name + "/rows" + std::to_string(F),
                                          static_cast<size_t>(F * h), [&](float * out) {
                                            for (int64_t i = 0; i < F * h; ++i) {
                                              out[i] = bias.data[i / F];
                                            }
                                          });
  ggml_tensor * y = ggml_mul_mat(b.ggml(), x, stock::leaf(b, weight, {C, h}));  // (F, h)
  return ggml_add(b.ggml(), y, b.constant(rows, {F, h}));
}

// Score of every delay and head, (h, d_max): sum_f Q[h, f] K[h, i, f] / sqrt(F).
ggml_tensor * scores(HopBuilder & b, const AlignBlock & block, ggml_tensor * mic,
                     ggml_tensor * ref) {
  const int64_t F = mic->ne[1];
  const int64_t h = block.hidden();
  ggml_context * g = b.ggml();
  ggml_tensor * Q = projected(b, block.query_weight, block.query_bias, mic);
  ggml_tensor * K = projected(b, block.key_weight, block.key_bias, ref);
  ggml_tensor * window = stock::with_history(b, "K_hist", K, block.d_max - 1);  // (F, h, d_max)
  ggml_tensor * s = ggml_mul_mat(g, ggml_permute(g, window, 0, 2, 1, 3),        // (F, d_max, h)
                                 ggml_reshape_3d(g, Q, F, 1, h));               // (d_max, 1, h)
  s = ggml_scale(g, s, 1.0f / std::sqrt(static_cast<float>(F)));
  s = ggml_reshape_2d(g, s, block.d_max, h);
  return ggml_cont(g, ggml_transpose(g, s));
}

}  // namespace

Aligned StockBlocks::align(HopBuilder & b, const AlignBlock & block, ggml_tensor * mic,
                           ggml_tensor * ref) const {
  const HopBuilder::Scope scope(b, block.name);
  const int64_t C = ref->ne[0];
  const int64_t F = ref->ne[1];
  const Weight & smooth = block.smooth_weight;  // (delay 3, time 5, h, 1)
  const int64_t K = smooth.ne[0] * smooth.ne[1] * smooth.ne[2];
  ggml_context * g = b.ggml();

  ggml_tensor * rows = stock::pad_bins(b, scores(b, block, mic, ref), 1, 1);  // (h, d_max + 2)
  rows = stock::with_history(b, "smooth_hist", rows, smooth.ne[1] - 1);
  ggml_tensor * columns = stock::unfold(b, rows, smooth.ne[0], 1);  // (K, d_max)
  ggml_tensor * logits =
      ggml_mul_mat(g, columns, b.constant(stock::column_weight(b, smooth), {K, 1}));  // (d_max, 1)
  logits = ggml_add(g, logits, stock::leaf(b, block.smooth_bias, {1}));
  ggml_tensor * weights = ggml_soft_max(g, logits);

  ggml_tensor * history =
      stock::with_history(b, "ref_hist", ggml_reshape_3d(g, ref, C * F, 1, 1), block.d_max - 1);
  history = ggml_reshape_2d(g, history, C * F, block.d_max);
  // out_prod sums over the second dimension: sum_i weights[i] * history[:, i].
  ggml_tensor * features = ggml_out_prod(g, history, ggml_reshape_2d(g, weights, 1, block.d_max));
  return {ggml_reshape_2d(g, features, C, F), weights};
}

}  // namespace voxhop
