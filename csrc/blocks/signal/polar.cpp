#include "blocks/signal/polar.h"

#include <cmath>

namespace voxhop {
namespace {

class PolarOp final : public CustomOp {
 public:
  PolarOp(float limit, const PhaseOffsets & offsets)
      : limit_(limit), offsets_(offsets), table_(offsets.table.data.keep()) {}

  void run(const HopContext & /*context*/, ggml_tensor * dst) noexcept override {
    const auto * x = static_cast<const float *>(dst->src[0]->data);
    const float * offset = dst->src[1] == nullptr ? nullptr : row(*dst->src[1]);
    auto * z = static_cast<float *>(dst->data);
    for (int64_t f = 0; f < dst->ne[1]; ++f) {
      const float log_magnitude = x[2 * f] > limit_ ? limit_ : x[2 * f];
      const double magnitude = std::exp(double{log_magnitude});
      double phase = double{x[2 * f + 1]};
      if (offset != nullptr) phase += double{offset[f]};
      z[2 * f] = static_cast<float>(magnitude * std::cos(phase));
      z[2 * f + 1] = static_cast<float>(magnitude * std::sin(phase));
    }
  }

 private:
  const float * row(const ggml_tensor & codes) const {
    const auto * c = static_cast<const int32_t *>(codes.data);
    const int64_t F = offsets_.table.ne[0], R = offsets_.table.ne[1];
    int64_t sum = 0;
    for (int64_t g = 0; g < codes.ne[0]; ++g) {
      if (c[g] < offsets_.K) sum += (g + 1) * c[g];
    }
    return table_ + sum % R * F;
  }

  float limit_;
  PhaseOffsets offsets_;
  const float * table_;
};

}  // namespace

ggml_tensor * polar_spectrum(HopBuilder & b, float limit, const PhaseOffsets & offsets,
                             ggml_tensor * x) {
  auto op = std::make_unique<PolarOp>(limit, offsets);
  if (offsets.codes == nullptr) return b.custom(std::move(op), {2, x->ne[1]}, {x});
  return b.custom(std::move(op), {2, x->ne[1]}, {x, offsets.codes});
}

}  // namespace voxhop
