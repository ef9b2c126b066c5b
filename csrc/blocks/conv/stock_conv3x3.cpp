// The 3x3 causal convolution and the map before it in ggml's own ops.
#include "blocks/stock_blocks.h"
#include "blocks/stock_ops.h"

namespace voxhop {
namespace {

constexpr int64_t kTaps = Conv3x3::kTaps;

// Rows of an unfolded window: frame-major, then bin, then channel.
const float * columns(HopBuilder & b, const Conv3x3 & conv) {
  const int64_t K = kTaps * kTaps * conv.c_in;
  const auto fill = [&](float * packed) {
    for (int64_t o = 0; o < conv.c_out; ++o) {
      for (int64_t k = 0; k < K; ++k) {
        const int64_t tap = k / conv.c_in;
        packed[o * K + k] =
            static_cast<float>(conv.weight(o, k % conv.c_in, tap % kTaps, tap / kTaps));
      }
    }
  };
  return b.weights().floats(conv.key + "/columns", static_cast<size_t>(K * conv.c_out), fill);
}

// (C, 4) rows of sub-bands -> (C, F).
ggml_tensor * over_bins(HopBuilder & b, const Weight & rows, int64_t F) {
  const int64_t C = rows.ne[0];
  const int64_t bands = BandMap::bands(F);
  const auto fill = [&](float * out) {
    for (int64_t f = 0; f < F; ++f) {
      for (int64_t c = 0; c < C; ++c) {
        out[f * C + c] = rows.data[f * bands / F * C + c];
      }
    }
  };
  return b.constant(b.weights().floats(rows.name + "/bins", static_cast<size_t>(C * F), fill),
                    {C, F});
}

}  // namespace

ggml_tensor * StockBlocks::silu_map(HopBuilder & b, const BandMap & map, ggml_tensor * x) const {
  ggml_tensor * y = ggml_mul(b.ggml(), x, over_bins(b, map.scale, x->ne[1]));
  y = ggml_add(b.ggml(), y, over_bins(b, map.shift, x->ne[1]));
  return ggml_silu(b.ggml(), y);
}

ggml_tensor * StockBlocks::conv3x3(HopBuilder & b, const Conv3x3 & conv, ggml_tensor * x,
                                   ggml_tensor * residual, float scale) const {
  if (conv.map) x = silu_map(b, *conv.map, x);
  ggml_context * g = b.ggml();
  const int64_t C = x->ne[0];
  const int64_t F = x->ne[1];
  ggml_tensor * window = stock::with_history(b, conv.state, x, (kTaps - 1) * conv.dilation);
  window = stock::pad_bins(b, window, 1, 1);  // (C, F + 2, frames)
  // Not ggml's convolution, which unfolds to f16. A patch of three bins is one run of 3 C
  // floats. Patches overlap, so the view has more elements than its parent, which ggml's view
  // functions refuse; it never leaves it.
  ggml_tensor * patches = ggml_view_3d(g, window, kTaps * C, 1, 1, window->nb[2], window->nb[2], 0);
  patches->ne[1] = kTaps;
  patches->ne[2] = F;
  patches->nb[1] = static_cast<size_t>(conv.dilation) * window->nb[2];
  patches->nb[2] = window->nb[1];
  patches->nb[3] = patches->nb[2] * static_cast<size_t>(F);
  const int64_t K = kTaps * kTaps * C;
  ggml_tensor * unfolded = ggml_reshape_2d(g, ggml_cont(g, patches), K, F);
  ggml_tensor * weight = b.constant(columns(b, conv), {K, conv.c_out});
  const float * bias =
      b.weights().floats(conv.bias_key, static_cast<size_t>(conv.c_out), [&](float * out) {
        for (int64_t o = 0; o < conv.c_out; ++o) out[o] = static_cast<float>(conv.bias(o));
      });
  ggml_tensor * y = ggml_add(g, ggml_mul_mat(g, weight, unfolded), b.constant(bias, {conv.c_out}));
  if (conv.after) y = silu_map(b, *conv.after, y);
  return residual != nullptr ? sum(b, residual, y, scale) : y;
}

}  // namespace voxhop
