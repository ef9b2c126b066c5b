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
  PolarOp(const Levels & levels, const Weight * offsets, const SentCodes & sent)
      : levels_(levels), K_(sent.K), first_b_(sent.first_b) {
    if (offsets == nullptr) return;
    rows_ = offsets->ne[1];
    table_ = offsets->data.keep();
  }

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const auto * x = static_cast<const float *>(dst->src[0]->data);
    const auto * c = static_cast<const int32_t *>(dst->src[1]->data);
    const int64_t F = dst->ne[1], G = dst->src[1]->ne[0];
    const float * offset = table_ == nullptr ? nullptr : table_ + row(c, G) * F;
    auto * z = static_cast<float *>(dst->data);
    auto * magnitudes = reinterpret_cast<double *>(context.scratch_of(0));
    for (int64_t f = 0; f < F; ++f) magnitudes[f] = std::exp(level(x, f));
    const double sharpness = levels_.sharpness[has_b(c, G) ? 1 : 0];
    if (sharpness > 0.0) sharpen(x, F, sharpness, magnitudes);
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
  void sharpen(const float * x, int64_t F, double sharpness, double * magnitudes) const {
    const int64_t w = levels_.bins;
    const double before = energy(magnitudes, F);
    double around = 0.0, highest = -HUGE_VAL;
    for (int64_t f = 0; f < std::min(w, F); ++f) around += level(x, f);
    for (int64_t f = 0; f < F; ++f) {
      if (f + w < F) around += level(x, f + w);
      if (f > w) around -= level(x, f - w - 1);
      const int64_t first = std::max(f - w, int64_t{0}), last = std::min(f + w, F - 1);
      const double own = level(x, f), mean = around / static_cast<double>(last - first + 1);
      magnitudes[f] = own + sharpness * (own - mean);
      highest = std::max(highest, magnitudes[f]);
    }
    // Below the highest, no exponential overflows.
    for (int64_t f = 0; f < F; ++f) magnitudes[f] = std::exp(magnitudes[f] - highest);
    const double scale = std::sqrt(before / energy(magnitudes, F));
    for (int64_t f = 0; f < F; ++f) magnitudes[f] *= scale;
  }

  bool has_b(const int32_t * c, int64_t G) const {
    return std::any_of(c + std::min(first_b_, G), c + G, [this](int32_t x) { return x < K_; });
  }

  int64_t row(const int32_t * c, int64_t G) const {
    int64_t sum = 0;
    for (int64_t g = 0; g < G; ++g) {
      if (c[g] < K_) sum += (g + 1) * c[g];
    }
    return sum % rows_;
  }

  Levels levels_;
  int64_t K_, first_b_;
  int64_t rows_ = 0;
  const float * table_ = nullptr;
};

}  // namespace

ggml_tensor * polar_spectrum(HopBuilder & b, const Levels & levels, const Weight * offsets,
                             const SentCodes & sent, ggml_tensor * x) {
  const int64_t F = x->ne[1];
  b.shared_scratch(static_cast<size_t>(F) * sizeof(double));
  return b.custom(std::make_unique<PolarOp>(levels, offsets, sent), {2, F}, {x, sent.codes});
}

}  // namespace voxhop
