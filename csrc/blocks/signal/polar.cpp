#include "blocks/signal/polar.h"

#include <algorithm>
#include <cmath>

namespace voxhop {
namespace {

double energy(const double * magnitudes, int64_t F) {
  double sum = 0.0;
  for (int64_t f = 0; f < F; ++f) sum += magnitudes[f] * magnitudes[f];
  return sum;
}

class PolarOp final : public CustomOp {
 public:
  PolarOp(const Levels & levels, const PhaseOffsets & offsets)
      : levels_(levels), offsets_(offsets), table_(offsets.table.data.keep()) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const auto * x = static_cast<const float *>(dst->src[0]->data);
    const float * offset = dst->src[1] == nullptr ? nullptr : row(*dst->src[1]);
    auto * z = static_cast<float *>(dst->data);
    const int64_t F = dst->ne[1];
    auto * magnitudes = reinterpret_cast<double *>(context.scratch_of(0));
    for (int64_t f = 0; f < F; ++f) magnitudes[f] = std::exp(level(x, f));
    if (levels_.sharpness > 0.0) sharpen(x, F, magnitudes);
    for (int64_t f = 0; f < F; ++f) {
      double phase = double{x[2 * f + 1]};
      if (offset != nullptr) phase += double{offset[f]};
      z[2 * f] = static_cast<float>(magnitudes[f] * std::cos(phase));
      z[2 * f + 1] = static_cast<float>(magnitudes[f] * std::sin(phase));
    }
  }

 private:
  double level(const float * x, int64_t f) const {
    return double{x[2 * f] > levels_.limit ? levels_.limit : x[2 * f]};
  }

  // In place: e^M -> e^M'.
  void sharpen(const float * x, int64_t F, double * magnitudes) const {
    const int64_t w = levels_.bins;
    const double before = energy(magnitudes, F);
    double around = 0.0, highest = -HUGE_VAL;
    for (int64_t f = 0; f < std::min(w, F); ++f) around += level(x, f);
    for (int64_t f = 0; f < F; ++f) {
      if (f + w < F) around += level(x, f + w);
      if (f > w) around -= level(x, f - w - 1);
      const int64_t first = std::max(f - w, int64_t{0}), last = std::min(f + w, F - 1);
      const double own = level(x, f), mean = around / static_cast<double>(last - first + 1);
      magnitudes[f] = own + levels_.sharpness * (own - mean);
      highest = std::max(highest, magnitudes[f]);
    }
    // Below the highest, no exponential overflows.
    for (int64_t f = 0; f < F; ++f) magnitudes[f] = std::exp(magnitudes[f] - highest);
    const double scale = std::sqrt(before / energy(magnitudes, F));
    for (int64_t f = 0; f < F; ++f) magnitudes[f] *= scale;
  }

  const float * row(const ggml_tensor & codes) const {
    const auto * c = static_cast<const int32_t *>(codes.data);
    const int64_t F = offsets_.table.ne[0], R = offsets_.table.ne[1];
    int64_t sum = 0;
    for (int64_t g = 0; g < codes.ne[0]; ++g) {
      if (c[g] < offsets_.K) sum += (g + 1) * c[g];
    }
    return table_ + sum % R * F;
  }

  Levels levels_;
  PhaseOffsets offsets_;
  const float * table_;
};

}  // namespace

ggml_tensor * polar_spectrum(HopBuilder & b, const Levels & levels, const PhaseOffsets & offsets,
                             ggml_tensor * x) {
  const int64_t F = x->ne[1];
  b.shared_scratch(static_cast<size_t>(F) * sizeof(double));
  auto op = std::make_unique<PolarOp>(levels, offsets);
  if (offsets.codes == nullptr) return b.custom(std::move(op), {2, F}, {x});
  return b.custom(std::move(op), {2, F}, {x, offsets.codes});
}

}  // namespace voxhop
