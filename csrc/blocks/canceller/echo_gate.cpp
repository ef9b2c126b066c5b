// Takes an estimated echo from a spectrum, band by band, as far as it proves to be there.
#include <algorithm>

#include "blocks/canceller/canceller.h"

namespace voxhop {
namespace {

constexpr int64_t kBandBins = 8;
constexpr float kSmoothing = 0.97f;  // of a band's fit, per frame
constexpr float kFitFloor = 1e-7f;
constexpr float kShutBelow = 0.5f;
constexpr float kOpenAbove = 0.8f;
constexpr float kHighest = 1e20f;  // above it, and what is not a number, is forgotten
constexpr float kLowest = 1e-20f;  // below it a decaying sum is cut off

float settled(float value) noexcept {
  const float size = value < 0.0f ? -value : value;
  return size >= kLowest && size <= kHighest ? value : 0.0f;
}

// Re<a, b> over `count` floats of (re, im) pairs.
float dot(const float * a, const float * b, int64_t count) noexcept {
  float sums[2 * kBandBins] = {};
  for (int64_t i = 0; i < count; i += 2 * kBandBins) {
    for (int64_t j = 0; j < 2 * kBandBins; ++j) sums[j] += a[i + j] * b[i + j];
  }
  float sum = 0.0f;
  for (const float part : sums) sum += part;
  return sum;
}

class EchoGateOp final : public CustomOp {
 public:
  explicit EchoGateOp(ExclusiveSlot state) : state_(state) {}

  // src: spectra of the microphone, of the estimate after and of that before; (2, F) each.
  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const auto * mic = static_cast<const float *>(dst->src[0]->data);
    const auto * after = static_cast<const float *>(dst->src[1]->data);
    const auto * before = static_cast<const float *>(dst->src[2]->data);
    auto * out = static_cast<float *>(dst->data);
    const int64_t count = 2 * dst->ne[1];
    float * common = state_.in<float>(context);
    float * power = common + dst->ne[1] / kBandBins;
    for (int64_t i = 0; i < count; i += 2 * kBandBins) {
      const float gain = open(mic + i, before + i, *common++, *power++);
      for (int64_t j = i; j < i + 2 * kBandBins; ++j) out[j] = gain * after[j];
    }
    // Where subtracting all adds energy to the frame, what fits best is subtracted.
    const float fits = dot(mic, out, count), energy = dot(out, out, count);
    const float best = std::clamp(fits / std::max(energy, kFitFloor), 0.0f, 1.0f);
    const float share = energy > 2.0f * fits ? best : 1.0f;
    for (int64_t i = 0; i < count; ++i) out[i] = mic[i] - share * out[i];
  }

 private:
  static float open(const float * mic, const float * judged, float & common,
                    float & power) noexcept {
    const float now = dot(mic, judged, 2 * kBandBins), energy = dot(judged, judged, 2 * kBandBins);
    common = settled(kSmoothing * common + (1.0f - kSmoothing) * now);
    power = settled(kSmoothing * power + (1.0f - kSmoothing) * energy);
    const float fit = common / (power + kFitFloor);
    return std::clamp((fit - kShutBelow) / (kOpenAbove - kShutBelow), 0.0f, 1.0f);
  }

  ExclusiveSlot state_;
};

class DifferenceOp final : public CustomOp {
 public:
  void run(const HopContext &, ggml_tensor * dst) noexcept override {
    const auto * a = static_cast<const float *>(dst->src[0]->data);
    const auto * b = static_cast<const float *>(dst->src[1]->data);
    auto * out = static_cast<float *>(dst->data);
    for (int64_t i = 0; i < 2 * dst->ne[1]; ++i) out[i] = a[i] - b[i];
  }
};

}  // namespace

ggml_tensor * echo_taken(HopBuilder & b, ggml_tensor * mic, ggml_tensor * residual) {
  return b.custom(std::make_unique<DifferenceOp>(), {2, mic->ne[1]}, {mic, residual});
}

ggml_tensor * echo_gate(HopBuilder & b, const std::string & name, ggml_tensor * mic,
                        ggml_tensor * after, ggml_tensor * before) {
  const HopBuilder::Scope scope(b, name);
  const int64_t F = mic->ne[1];
  const ExclusiveSlot state =
      b.exclusive("fit", static_cast<size_t>(2 * F / kBandBins) * sizeof(float));
  return b.custom(std::make_unique<EchoGateOp>(state), {2, F}, {mic, after, before});
}

}  // namespace voxhop
