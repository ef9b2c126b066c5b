#include "blocks/bands/band_ops.h"
#include "blocks/stock_blocks.h"

namespace voxhop {
namespace {

// Neighbours pairwise, so that a column is copied log K times.
ggml_tensor * joined(HopBuilder & b, std::vector<ggml_tensor *> parts) {
  while (parts.size() > 1) {
    std::vector<ggml_tensor *> pairs;
    for (size_t i = 0; i < parts.size(); i += 2) {
      pairs.push_back(i + 1 < parts.size() ? ggml_concat(b.ggml(), parts[i], parts[i + 1], 1)
                                           : parts[i]);
    }
    parts = std::move(pairs);
  }
  return parts[0];
}

ggml_tensor * columns(HopBuilder & b, ggml_tensor * x, int64_t first, int64_t rows) {
  return ggml_view_2d(b.ggml(), x, rows, 1, static_cast<size_t>(rows) * sizeof(float),
                      static_cast<size_t>(first) * sizeof(float));
}

}  // namespace

ggml_tensor * StockBlocks::band_encoder(HopBuilder & b, const BandEncoder & block,
                                        ggml_tensor * spectrum) const {
  ggml_tensor * features = band_features(b, block, spectrum);
  std::vector<ggml_tensor *> parts;
  for (const BandEncoder::Layer & layer : block.bands) {
    ggml_tensor * x = columns(b, features, 3 * layer.band.first, 3 * layer.band.width);
    x = StockBlocks::rms_norm(b, layer.norm, x);
    parts.push_back(StockBlocks::linear(b, layer.projection, x, Activation::kNone, nullptr, 1.0f));
  }
  return joined(b, std::move(parts));
}

ggml_tensor * StockBlocks::band_decoder(HopBuilder & b, const BandDecoder & block,
                                        ggml_tensor * x) const {
  ggml_context * g = b.ggml();
  std::vector<ggml_tensor *> parts;
  for (size_t k = 0; k < block.bands.size(); ++k) {
    const BandDecoder::Layer & layer = block.bands[k];
    const int64_t w = layer.band.width;
    ggml_tensor * y = columns(b, x, static_cast<int64_t>(k) * x->ne[0], x->ne[0]);
    y = StockBlocks::rms_norm(b, layer.norm, y);
    y = StockBlocks::linear(b, layer.hidden, y, Activation::kTanh, nullptr, 1.0f);
    y = StockBlocks::linear(b, layer.output, y, Activation::kNone, nullptr, 1.0f);
    ggml_tensor * gate = ggml_sigmoid(b.ggml(), columns(b, y, 2 * w, 2 * w));
    y = ggml_mul(g, columns(b, y, 0, 2 * w), gate);  // re (w), im (w)
    parts.push_back(ggml_transpose(g, ggml_reshape_2d(g, y, w, 2)));
    parts.back() = ggml_cont(g, parts.back());  // (2, w)
  }
  return joined(b, std::move(parts));
}

}  // namespace voxhop
