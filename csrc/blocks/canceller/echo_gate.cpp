// Takes an estimated echo from a spectrum, band by band, as far as it proves to be there.
#include <algorithm>

#include "blocks/canceller/canceller.h"
#include "blocks/canceller/echo_frames.h"

namespace voxhop {
namespace {

constexpr int64_t kBandBins = 8;
constexpr float kSmoothing = 0.97f;  // of a band's fit, per frame
constexpr float kFitFloor = 1e-7f;
constexpr float kUnheard = 0.0125f;  // of the frame: a band is not open before it was judged
constexpr float kShutBelow = 0.5f;
constexpr float kOpenAbove = 0.8f;
constexpr float kHighest = 1e20f;  // above it, and what is not a number, is forgotten
constexpr float kLowest = 1e-20f;  // below it a decaying sum is cut off

float settled(float value) noexcept {
  const float size = value < 0.0f ? -value : value;
  return size >= kLowest && size <= kHighest ? value : 0.0f;
}

// How well a filter's estimate fitted in a band: smoothed Re<D, Y> and <Y, Y>.
struct Fit {
  float common, power;

  void see(const float * mic, const float * judged) noexcept {
    common = smoothed(common, dot(mic, judged, 2 * kBandBins));
    power = smoothed(power, dot(judged, judged, 2 * kBandBins));
  }

  // How much of an estimate of this energy to subtract.
  float gain(float energy) const noexcept {
    const float fit = common / (power + kUnheard * energy + kFitFloor);
    return opened(fit, kShutBelow, kOpenAbove);
  }

 private:
  static float smoothed(float old, float now) noexcept {
    return settled(kSmoothing * old + (1.0f - kSmoothing) * now);
  }
};

struct BandFits {
  Fit steady, quick;
};

class EchoGateOp final : public CustomOp {
 public:
  explicit EchoGateOp(ExclusiveSlot state) : state_(state) {}

  // src: spectra (2, F) of the microphone, of the estimate after and of both before; the verdict.
  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const auto * mic = static_cast<const float *>(dst->src[0]->data);
    const auto * after = static_cast<const float *>(dst->src[1]->data);
    const auto * steady = static_cast<const float *>(dst->src[2]->data);
    const auto * quick = static_cast<const float *>(dst->src[3]->data);
    const auto * verdict = static_cast<const float *>(dst->src[4]->data);
    auto * out = static_cast<float *>(dst->data);
    const int64_t count = 2 * dst->ne[1], bands = dst->ne[1] / kBandBins;
    auto * fits_of = state_.in<BandFits>(context);
    float gains[kMostGateBins / kBandBins];
    for (int64_t g = 0; g < bands; ++g) {
      const int64_t i = 2 * kBandBins * g;
      const float energy = dot(after + i, after + i, 2 * kBandBins);
      gains[g] = open(mic + i, steady + i, quick + i, energy, verdict, fits_of[g]);
    }
    // Between the middles of bands gains run straight: steps would ring within the frame.
    for (int64_t f = 0; f < dst->ne[1]; ++f) {
      const float place = (static_cast<float>(f) + 0.5f) / kBandBins - 0.5f;
      const float at = std::clamp(place, 0.0f, static_cast<float>(bands - 1));
      const auto low = static_cast<int64_t>(at), high = std::min(low + 1, bands - 1);
      const float gain = gains[low] + (at - static_cast<float>(low)) * (gains[high] - gains[low]);
      out[2 * f] = gain * after[2 * f];
      out[2 * f + 1] = gain * after[2 * f + 1];
    }
    subtract_no_louder(mic, count, out);
  }

 private:
  // Weights that moved take with them how well they fitted.
  static float open(const float * mic, const float * steady, const float * quick, float energy,
                    const float * verdict, BandFits & fits) noexcept {
    fits.steady.see(mic, steady);
    fits.quick.see(mic, quick);
    const float gain = (verdict[3] > 0.0f ? fits.quick : fits.steady).gain(energy);
    if (verdict[0] > 0.0f) fits.steady = fits.quick;
    if (verdict[1] > 0.0f) fits.quick = fits.steady;
    if (verdict[2] > 0.0f) fits.quick = {};
    return gain;
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
                        const EchoEstimate & spectra) {
  const HopBuilder::Scope scope(b, name);
  const int64_t F = mic->ne[1];
  const ExclusiveSlot state =
      b.exclusive("fit", static_cast<size_t>(F / kBandBins) * sizeof(BandFits));
  return b.custom(std::make_unique<EchoGateOp>(state), {2, F},
                  {mic, spectra.after, spectra.steady, spectra.quick, spectra.verdict});
}

}  // namespace voxhop
