#include <cmath>

#include "blocks/bands/band_ops.h"

namespace voxhop {
namespace {

class FeaturesOp final : public CustomOp {
 public:
  explicit FeaturesOp(const BandEncoder & block) : log_eps_(double{block.log_eps}) {
    for (const BandEncoder::Layer & layer : block.bands) bands_.push_back(layer.band);
  }

  void run(const HopContext &, ggml_tensor * dst) noexcept override {
    const auto * z = static_cast<const float *>(dst->src[0]->data);
    for (const Band & band : bands_) {
      float * out = static_cast<float *>(dst->data) + 3 * band.first;
      for (int64_t i = 0; i < band.width; ++i) {
        const float re = z[2 * (band.first + i)], im = z[2 * (band.first + i) + 1];
        const double power = double{re} * double{re} + double{im} * double{im};
        out[i] = re;
        out[band.width + i] = im;
        out[2 * band.width + i] = static_cast<float>(0.5 * std::log(power + log_eps_));
      }
    }
  }

 private:
  std::vector<Band> bands_;
  double log_eps_;
};

}  // namespace

ggml_tensor * band_features(HopBuilder & b, const BandEncoder & block, ggml_tensor * spectrum) {
  return b.custom(std::make_unique<FeaturesOp>(block), {3 * spectrum->ne[1]}, {spectrum});
}

}  // namespace voxhop
