#include <cmath>
#include <cstring>
#include <vector>

#include "blocks/attention/attention.h"

namespace voxhop {
namespace {

class RotaryOp final : public CustomOp {
 public:
  RotaryOp(const Rotary & block, ExclusiveSlot phases, ExclusiveSlot count)
      : phases_(phases), count_(count) {
    for (int64_t i = 0; i < block.d / 2; ++i) {
      steps_.push_back(
          std::pow(block.base, -2.0 * static_cast<double>(i) / static_cast<double>(block.d)));
    }
  }

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * phase = phases_.in<double>(context);
    auto & count = *count_.in<int64_t>(context);
    auto * out = static_cast<float *>(dst->data);
    const size_t half = steps_.size();
    for (size_t i = 0; i < half; ++i) {
      out[i] = static_cast<float>(std::cos(phase[i]));
      out[half + i] = static_cast<float>(std::sin(phase[i]));
      phase[i] = std::fmod(phase[i] + steps_[i], kTurn);
    }
    static_assert(sizeof count == 2 * sizeof(float));
    std::memcpy(out + 2 * half, &count, sizeof count);
    ++count;
  }

 private:
  static constexpr double kTurn = 6.283185307179586476925;
  std::vector<double> steps_;
  ExclusiveSlot phases_, count_;
};

class FusionOp final : public CustomOp {
 public:
  explicit FusionOp(const Weight & query) : query_(query.data.keep()), d_(query.count()) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const ggml_tensor * keys = dst->src[0];
    const int64_t d = d_, K = keys->ne[1], width = keys->ne[0];
    auto * scores = reinterpret_cast<double *>(context.scratch);
    for (int64_t first = 0; first < width; first += d) {
      const float * k = static_cast<const float *>(keys->data) + first;
      const float * v = static_cast<const float *>(dst->src[1]->data) + first;
      float * out = static_cast<float *>(dst->data) + first;
      double largest = -HUGE_VAL, total = 0.0;
      for (int64_t band = 0; band < K; ++band) {
        double sum = 0.0;
        for (int64_t i = 0; i < d; ++i) sum += double{query_[i]} * double{k[band * width + i]};
        scores[band] = sum / std::sqrt(static_cast<double>(d));
        largest = std::fmax(largest, scores[band]);
      }
      for (int64_t band = 0; band < K; ++band) {
        scores[band] = std::exp(scores[band] - largest);
        total += scores[band];
      }
      for (int64_t i = 0; i < d; ++i) {
        double sum = 0.0;
        for (int64_t band = 0; band < K; ++band) sum += scores[band] * double{v[band * width + i]};
        out[i] = static_cast<float>(sum / total);
      }
    }
  }

 private:
  const float * query_;
  int64_t d_;
};

}  // namespace

ggml_tensor * rotary(HopBuilder & b, const Rotary & block) {
  const HopBuilder::Scope scope(b, block.name);
  const ExclusiveSlot phases =
      b.exclusive("phase", static_cast<size_t>(block.d / 2) * sizeof(double));
  const ExclusiveSlot count = b.exclusive("count", sizeof(int64_t));
  return b.custom(std::make_unique<RotaryOp>(block, phases, count), {rotary_size(block.d)}, {});
}

ggml_tensor * fusion_attention(HopBuilder & b, const Weight & query, ggml_tensor * keys,
                               ggml_tensor * values) {
  b.shared_scratch(static_cast<size_t>(keys->ne[1]) * sizeof(double));
  return b.custom(std::make_unique<FusionOp>(query), {keys->ne[0]}, {keys, values});
}

}  // namespace voxhop
