#include <cmath>

#include "blocks/attention/ring_attention.h"
#include "blocks/stock_blocks.h"
#include "core/status.h"

namespace voxhop {
namespace {

// x (d h, K), each head turned by its band's angles -> (d, K, h).
ggml_tensor * turned(HopBuilder & b, const BandAttention & block, ggml_tensor * x) {
  ggml_context * g = b.ggml();
  const int64_t d = block.d, half = d / 2, h = x->ne[0] / d, K = x->ne[1];
  const auto table = [&](const char * key, double (*function)(double)) {
    const auto fill = [&](float * out) {
      for (int64_t i = 0; i < half * K; ++i) {
        const double step =
            std::pow(block.base, -2.0 * static_cast<double>(i % half) / static_cast<double>(d));
        out[i] = static_cast<float>(function(static_cast<double>(i / half) * step));
      }
    };
    const std::string name = b.scoped(key) + "/" + std::to_string(K);
    return b.constant(b.weights().floats(name, static_cast<size_t>(half * K), fill), {half, K});
  };
  ggml_tensor * heads = ggml_cont(g, ggml_permute(g, ggml_reshape_3d(g, x, d, h, K), 0, 2, 1, 3));
  const auto part = [&](int64_t first) {
    return ggml_cont(g, ggml_view_3d(g, heads, half, K, h, heads->nb[1], heads->nb[2],
                                     static_cast<size_t>(first) * sizeof(float)));
  };
  ggml_tensor *a = part(0), *c = part(half);
  ggml_tensor *cosine = table("cos", std::cos), *sine = table("sin", std::sin);
  return ggml_concat(g, ggml_sub(g, ggml_mul(g, a, cosine), ggml_mul(g, c, sine)),
                     ggml_add(g, ggml_mul(g, a, sine), ggml_mul(g, c, cosine)), 0);
}

}  // namespace

ggml_tensor * StockBlocks::time_attention(HopBuilder & b, const TimeAttention & block,
                                          ggml_tensor * rotary, const QueryKeyValue & x) const {
  VH_CHECK(block.cache == "auto" || block.cache == "f32", VH_E_UNSUPPORTED,
           "cache: %s, but stock kernels keep f32", block.cache.c_str());
  return ring_attention(b, plain_ring(), block, rotary, x);
}

ggml_tensor * StockBlocks::band_attention(HopBuilder & b, const BandAttention & block,
                                          const QueryKeyValue & x) const {
  const HopBuilder::Scope scope(b, block.name);
  ggml_context * g = b.ggml();
  const int64_t d = block.d, h = x.q->ne[0] / d, K = x.q->ne[1];
  ggml_tensor * scores = ggml_mul_mat(g, turned(b, block, x.k), turned(b, block, x.q));
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(d)));
  scores = ggml_soft_max_ext(g, scores, nullptr, scale, 0.0f);  // (K keys, K queries, h)
  ggml_tensor * values =
      ggml_cont(g, ggml_permute(g, ggml_reshape_3d(g, x.v, d, h, K), 1, 2, 0, 3));
  ggml_tensor * y = ggml_mul_mat(g, values, scores);  // (d, K, h)
  return ggml_reshape_2d(g, ggml_cont(g, ggml_permute(g, y, 0, 2, 1, 3)), d * h, K);
}

}  // namespace voxhop
