// Sums and resampling of bins in ggml's own ops.
#include "blocks/stock_blocks.h"
#include "blocks/stock_ops.h"

namespace voxhop {
namespace {

// n rows of `window`, `step` apart, from `first` on.
ggml_tensor * rows(HopBuilder & b, ggml_tensor * window, int64_t first, int64_t step, int64_t n) {
  return ggml_view_2d(b.ggml(), window, window->ne[0], n, static_cast<size_t>(step) * window->nb[1],
                      static_cast<size_t>(first) * window->nb[1]);
}

}  // namespace

ggml_tensor * StockBlocks::sum(HopBuilder & b, ggml_tensor * x, ggml_tensor * y,
                               float scale) const {
  ggml_tensor * z = ggml_add(b.ggml(), x, y);
  return scale != 1.0f ? ggml_scale(b.ggml(), z, scale) : z;
}

ggml_tensor * StockBlocks::halve_bins(HopBuilder & b, ggml_tensor * x) const {
  ggml_context * g = b.ggml();
  ggml_tensor * window = stock::pad_bins(b, x, 1, 1);
  const auto every_other = [&](int64_t first) { return rows(b, window, first, 2, x->ne[1] / 2); };
  ggml_tensor * outer = ggml_add(g, every_other(0), every_other(3));
  ggml_tensor * inner = ggml_add(g, every_other(1), every_other(2));
  return ggml_scale(g, ggml_add(g, outer, ggml_scale(g, inner, 3.0f)), 0.125f);
}

ggml_tensor * StockBlocks::double_bins(HopBuilder & b, ggml_tensor * x) const {
  ggml_context * g = b.ggml();
  ggml_tensor * next = rows(b, stock::pad_bins(b, x, 0, 1), 1, 1, x->ne[1]);
  ggml_tensor * even = ggml_add(g, ggml_scale(g, x, 3.0f), next);
  ggml_tensor * odd = ggml_add(g, ggml_scale(g, ggml_cont(g, next), 3.0f), x);
  ggml_tensor * both = ggml_scale(g, ggml_concat(g, even, odd, 0), 0.125f);
  return ggml_reshape_2d(g, both, x->ne[0], 2 * x->ne[1]);
}

}  // namespace voxhop
