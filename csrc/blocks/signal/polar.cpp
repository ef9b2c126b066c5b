#include "blocks/signal/polar.h"

#include <cmath>

namespace voxhop {
namespace {

class PolarOp final : public CustomOp {
 public:
  explicit PolarOp(float limit) : limit_(limit) {}

  void run(const HopContext & /*context*/, ggml_tensor * dst) noexcept override {
    const auto * x = static_cast<const float *>(dst->src[0]->data);
    auto * z = static_cast<float *>(dst->data);
    for (int64_t f = 0; f < dst->ne[1]; ++f) {
      const float log_magnitude = x[2 * f] > limit_ ? limit_ : x[2 * f];
      const double magnitude = std::exp(double{log_magnitude});
      const double phase = double{x[2 * f + 1]};
      z[2 * f] = static_cast<float>(magnitude * std::cos(phase));
      z[2 * f + 1] = static_cast<float>(magnitude * std::sin(phase));
    }
  }

 private:
  float limit_;
};

}  // namespace

ggml_tensor * polar_spectrum(HopBuilder & b, float limit, ggml_tensor * x) {
  return b.custom(std::make_unique<PolarOp>(limit), {2, x->ne[1]}, {x});
}

}  // namespace voxhop
