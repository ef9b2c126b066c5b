#include "blocks/stock_blocks.h"
#include "blocks/stock_ops.h"

namespace voxhop {

ggml_tensor * StockBlocks::conv1d(HopBuilder & b, const Conv1d & conv, ggml_tensor * x) const {
  const HopBuilder::Scope scope(b, conv.name);
  ggml_context * g = b.ggml();
  const int64_t C = conv.c_in();
  const int64_t frames = x->ne[1];
  constexpr int64_t kPast = Conv1d::kTaps - 1;
  const Slot past = b.state("hist", {C, kPast});
  ggml_tensor * window = ggml_concat(g, past.value, x, 1);  // (C, 2 + frames)
  b.next(past, ggml_view_2d(g, window, C, kPast, window->nb[1],
                            static_cast<size_t>(frames) * window->nb[1]));
  const int64_t K = Conv1d::kTaps * C;
  const float * rows = b.weights().floats(
      conv.weight.name + "/rows", static_cast<size_t>(conv.weight.count()), [&](float * out) {
        for (int64_t o = 0; o < conv.c_out(); ++o) {
          for (int64_t k = 0; k < K; ++k) *out++ = static_cast<float>(conv.at(k, o));
        }
      });
  // Three frames in a row are one run of floats. The runs overlap, so the view has more elements
  // than its parent, which ggml's view functions refuse; it never leaves it.
  ggml_tensor * runs = ggml_view_2d(g, window, K, 1, window->nb[1], 0);
  runs->ne[1] = frames;
  runs->nb[2] = runs->nb[3] = runs->nb[1] * static_cast<size_t>(frames);
  ggml_tensor * y = ggml_mul_mat(g, b.constant(rows, {K, conv.c_out()}), ggml_cont(g, runs));
  return ggml_add(g, y, stock::leaf(b, conv.bias, {conv.c_out()}));
}

}  // namespace voxhop
