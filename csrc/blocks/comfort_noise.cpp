// Comfort noise: what the room sounds like, where the echo was taken out.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "blocks/stock_blocks.h"

namespace voxhop {
namespace {

constexpr float kSmoothing = 0.1f;        // of a bin's power, per hop; a plain mean at first
constexpr uint32_t kSettleHops = 12;      // no minimum is taken before
constexpr uint32_t kMinimumHops = 24;     // a minimum is taken over so many hops,
constexpr uint32_t kMinima = 4;           // and the floor is the lowest of so many and the current
constexpr float kMinimumBias = 1.66f;     // mean over minimum of such powers, white noise
constexpr float kSumSmoothing = 0.3f;     // of a frame's power
constexpr float kReferencePower = 1e-6f;  // per sample: a reference above -60 dBFS is playing
constexpr int32_t kReferenceHops = 40;    // and may be heard as an echo for so long after
constexpr float kAboveFloor = 10.0f;      // an echo: so much above the floor in power,
constexpr float kSuppressed = 100.0f;     // of which the network leaves so little
constexpr int32_t kHoldHops = 90;         // noise stays on so long after an echo,
constexpr int32_t kFadeHops = 8;          // and goes in so many steps
constexpr float kSilentPower = 1e-20f;    // below it a decaying power is cut off: see S4D
constexpr float kHighestPower = 1e20f;    // above it, and what is not a number, is forgotten
constexpr int64_t kSignBins = 16;         // bins that one random word serves, two bits each

struct Head {
  uint32_t hop;
  uint32_t tracked;  // hops that minima are counted in
  int32_t reference_hops;
  int32_t hold_hops;
  float heard;  // smoothed power of the microphone's frame
  float left;   // of the masked one
};

// The finalizer of MurmurHash3: neighbouring counts give unrelated words.
uint32_t random_word(uint32_t count) noexcept {
  count ^= count >> 16;
  count *= 0x85ebca6bu;
  count ^= count >> 13;
  count *= 0xc2b2ae35u;
  return count ^ count >> 16;
}

// Partial sums, which a compiler may keep in vectors; rows are whole multiples of them.
constexpr int64_t kLanes = 16;

template <class Map>
float sum_of(int64_t count, Map map) noexcept {
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += map(i + lane);
  }
  float sum = 0.0f;
  for (const float lane : lanes) sum += lane;
  return sum;
}

float frame_power(const ggml_tensor * z) noexcept {
  const auto * values = static_cast<const float *>(z->data);
  return sum_of(2 * z->ne[1], [values](int64_t i) { return values[i] * values[i]; });
}

float settled(float value) noexcept {
  return value >= kSilentPower && value <= kHighestPower ? value : 0.0f;
}

class ComfortNoiseOp final : public CustomOp {
 public:
  ComfortNoiseOp(float gain, ExclusiveSlot state) : gain_(gain), state_(state) {}

  // src: masked spectrum, microphone's, reference's; (2, F) each.
  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const ggml_tensor * z = dst->src[0];
    const int64_t F = z->ne[1];
    Head & head = *state_.in<Head>(context);
    float * power = reinterpret_cast<float *>(state_.in<std::byte>(context) + kAlignment);
    auto * floor = reinterpret_cast<float *>(context.scratch);
    const float floor_sum = track(dst->src[1], head, power, floor, F);
    const float level = gate(head, floor_sum, dst);
    const auto * in = static_cast<const float *>(z->data);
    auto * out = static_cast<float *>(dst->data);
    if (level == 0.0f || !context.comfort_noise) {
      std::memcpy(out, in, static_cast<size_t>(2 * F) * sizeof(float));
    } else {
      fill(in, floor, level, head.hop * static_cast<uint32_t>(F / kSignBins), F, out);
    }
    ++head.hop;
  }

  /// Rows of F floats: smoothed power, current minimum, former minima.
  static constexpr int64_t rows() { return 2 + kMinima; }

 private:
  // Minimum statistics: the lowest smoothed power of the last 1.5 s is the noise. Time stands
  // still in an echo, or steady music would become noise; the floor can only sink then.
  static float track(const ggml_tensor * mic, Head & head, float * power, float * floor,
                     int64_t F) noexcept {
    const auto * x = static_cast<const float *>(mic->data);
    float * current = power + F;
    float * minima = power + 2 * F;
    const bool first = head.hop == 0;
    if (first) std::fill_n(minima, kMinima * F, std::numeric_limits<float>::max());
    const bool passes = head.hold_hops < kHoldHops;
    const bool starts = passes && head.tracked % kMinimumHops == 0;
    if (starts && !first) {
      const uint32_t oldest = head.tracked / kMinimumHops % kMinima;
      std::copy_n(current, F, minima + oldest * F);
    }
    if (passes) ++head.tracked;
    const float step = std::max(kSmoothing, 1.0f / (static_cast<float>(head.hop) + 1.0f));
    const bool settling = head.hop < kSettleHops;
    const bool restarts = starts || settling;
    for (int64_t k = 0; k < F; ++k) {
      const float now = x[2 * k] * x[2 * k] + x[2 * k + 1] * x[2 * k + 1];
      power[k] = settled(power[k] + step * (now - power[k]));
      current[k] = restarts ? power[k] : std::min(current[k], power[k]);
    }
    std::copy_n(current, F, floor);
    for (int64_t j = 0; j < kMinima; ++j) {
      for (int64_t k = 0; k < F; ++k) floor[k] = std::min(floor[k], minima[j * F + k]);
    }
    for (int64_t k = 0; k < F; ++k) floor[k] *= kMinimumBias;
    return sum_of(F, [floor](int64_t k) { return floor[k]; });
  }

  // How much of the noise to add, 0 to 1: all while an echo is being suppressed.
  static float gate(Head & head, float floor_sum, const ggml_tensor * dst) noexcept {
    const auto F = static_cast<float>(dst->ne[1]);
    head.heard = settled(head.heard + kSumSmoothing * (frame_power(dst->src[1]) - head.heard));
    head.left = settled(head.left + kSumSmoothing * (frame_power(dst->src[0]) - head.left));
    const bool playing = frame_power(dst->src[2]) > kReferencePower * F * F;
    head.reference_hops = playing ? kReferenceHops : std::max(head.reference_hops - 1, 0);
    const bool echo = head.reference_hops > 0 && head.heard > kAboveFloor * floor_sum &&
                      head.heard > kSuppressed * head.left;
    head.hold_hops = echo ? kHoldHops : std::max(head.hold_hops - 1, 0);
    return std::min(1.0f, static_cast<float>(head.hold_hops) / static_cast<float>(kFadeHops));
  }

  // Raises bins below the wanted floor to it, at one of four phases. Their length of sqrt(2)
  // makes up for the half that unrelated frames lose in the overlap.
  void fill(const float * z, const float * floor, float level, uint32_t count, int64_t F,
            float * out) const noexcept {
    for (int64_t first = 0; first < F; first += kSignBins) {
      const uint32_t word = random_word(count++);
      for (int64_t i = 0; i < kSignBins; ++i) {
        const int64_t k = first + i;
        const float re = z[2 * k], im = z[2 * k + 1];
        const float missing = gain_ * std::sqrt(floor[k]) - std::sqrt(re * re + im * im);
        const float part = level * std::max(missing, 0.0f);
        out[2 * k] = re + (word >> (2 * i) & 1 ? part : -part);
        out[2 * k + 1] = im + (word >> (2 * i + 1) & 1 ? part : -part);
      }
    }
  }

  float gain_;
  ExclusiveSlot state_;
};

}  // namespace

ggml_tensor * StockBlocks::comfort_noise(HopBuilder & b, const ComfortNoise & block,
                                         ggml_tensor * z, ggml_tensor * mic,
                                         ggml_tensor * ref) const {
  const HopBuilder::Scope scope(b, block.name);
  const int64_t F = z->ne[1];
  const auto rows = static_cast<size_t>(ComfortNoiseOp::rows() * F);
  const ExclusiveSlot state = b.exclusive("floor", kAlignment + rows * sizeof(float));
  b.shared_scratch(static_cast<size_t>(F) * sizeof(float));
  return b.custom(std::make_unique<ComfortNoiseOp>(block.gain, state), {2, F}, {z, mic, ref});
}

}  // namespace voxhop
