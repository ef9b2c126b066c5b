// Takes from a spectrum what of an echo moves or bends too fast for the long filters: a short
// Kalman filter per bin, in the frames of the network's own filterbank.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "blocks/canceller/canceller.h"
#include "blocks/canceller/echo_decision.h"
#include "blocks/canceller/echo_frames.h"

namespace voxhop {
namespace {

constexpr int kHops = static_cast<int>(EchoFollower::kHops);
constexpr int kBeforeEcho = 2;
constexpr int kFarthest = 4;
constexpr uint32_t kMoveHops = 60;
constexpr float kPrior = 0.1f;
constexpr float kForget = 0.1f;
constexpr float kShared = 0.1f;
constexpr float kLeastPath = 1e-4f;
constexpr float kUncertaintyFloor = 1e-10f;
constexpr float kNearSmoothing = 0.8f;
constexpr float kNearShare = 0.5f;
constexpr float kNearFloor = 1e-6f;
constexpr float kProofSmoothing = 0.98f;
constexpr float kShutBelow = 0.012f;
constexpr float kOpenAbove = 0.03f;
constexpr float kLeast = 1e-20f;   // a decaying power is cut off there
constexpr float kLoudest = 1e12f;  // energy of a frame; louder is no audio

struct Head {
  uint32_t frames;
  uint32_t newest;  // row of the newest frame in the ring
  uint32_t first;   // the newest hop that is looked at
  uint32_t astray;  // frames in a row in which the echo was elsewhere
  // How well the weights of two frames ago foretell, smoothed; bins count alike.
  float common, foretold, heard;  // Re<D, Y>, <Y, Y>, <D, D>
};
static_assert(sizeof(Head) <= kAlignment, "rows follow");

/// Rows of F floats behind the head.
struct Memory {
  int64_t F;
  float * base;
  int64_t ring;  // rows of it

  static int64_t rows(int64_t partitions) { return 2 * partitions + 5 * kHops + 2; }

  float * x_re(int64_t row) const { return base + 2 * row * F; }
  float * x_im(int64_t row) const { return x_re(row) + F; }
  float * w_re(int64_t l) const { return base + (2 * ring + 2 * l) * F; }
  float * w_im(int64_t l) const { return w_re(l) + F; }
  float * v(int64_t l) const { return base + (2 * ring + 2 * kHops + l) * F; }
  float * near() const { return v(kHops); }
  float * loudness() const { return v(kHops + 1); }
  // The weights a frame before these.
  float * older_re(int64_t l) const { return v(kHops + 2 + 2 * l); }
  float * older_im(int64_t l) const { return older_re(l) + F; }
};

class EchoFollowerOp final : public CustomOp {
 public:
  EchoFollowerOp(int64_t partitions, ExclusiveSlot state) : P_(partitions), state_(state) {}

  // src: spectra (2, F) of what is left and of the reference; the verdict.
  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const auto * left = static_cast<const float *>(dst->src[0]->data);
    const auto * ref = static_cast<const float *>(dst->src[1]->data);
    const auto * verdict = static_cast<const float *>(dst->src[2]->data);
    auto * out = static_cast<float *>(dst->data);
    const int64_t F = dst->ne[1];
    if (!(dot(left, left, 2 * F) <= kLoudest && dot(ref, ref, 2 * F) <= kLoudest)) {
      std::memset(state_.in<std::byte>(context), 0, state_.bytes);
      std::copy_n(left, 2 * F, out);
      return;
    }
    Head & head = *state_.in<Head>(context);
    auto * rows = reinterpret_cast<float *>(state_.in<std::byte>(context) + kAlignment);
    const Memory m{F, rows, P_};
    if (head.frames == 0) forget(m);
    head.frames = 1;
    push(head, m, ref);
    look(head, m, static_cast<int64_t>(verdict[kVerdictPlace]));
    prove(head, m, left);
    std::copy_n(m.w_re(0), 2 * kHops * F, m.older_re(0));
    adapt(head, m, left, out);
    const float share = taken(head);
    for (int64_t i = 0; i < 2 * F; ++i) out[i] *= share;
    subtract_no_louder(left, 2 * F, out);
  }

 private:
  static void forget(const Memory & m) {
    std::fill_n(m.w_re(0), 2 * kHops * m.F, 0.0f);
    std::fill_n(m.older_re(0), 2 * kHops * m.F, 0.0f);
    std::fill_n(m.v(0), kHops * m.F, kPrior);
  }

  void push(Head & head, const Memory & m, const float * ref) const {
    const auto P = static_cast<uint32_t>(P_);
    head.newest = (head.newest % P + P - 1) % P;
    float *re = m.x_re(head.newest), *im = m.x_im(head.newest);
    for (int64_t k = 0; k < m.F; ++k) {
      re[k] = ref[2 * k];
      im[k] = ref[2 * k + 1];
    }
  }

  // Where the echo is; what was learned of other hops is forgotten.
  void look(Head & head, const Memory & m, int64_t place) const {
    const int64_t first = head.first, ahead = place - first;
    const int64_t wanted = std::clamp(place - kBeforeEcho, int64_t{0}, P_ - kHops);
    const bool here = place < 0 || (ahead >= 1 && ahead <= kFarthest) || wanted == first;
    head.astray = here ? 0 : head.astray + 1;
    if (head.astray < kMoveHops) return;
    head.astray = 0;
    head.first = static_cast<uint32_t>(wanted);
    forget(m);
  }

  int64_t row(const Head & head, int64_t l) const { return (head.newest + head.first + l) % P_; }

  // Compare a frame with what was foretold of it, wherever the reference sounds. Frames overlap by
  // half, so the weights of one frame ago have heard half of it.
  void prove(Head & head, const Memory & m, const float * left) const {
    const int64_t F = m.F;
    float y_re[kMostGateBins], y_im[kMostGateBins];
    predict(head, m, m.older_re(0), y_re, y_im);
    float common = 0.0f, foretold = 0.0f, heard = 0.0f, sound = 0.0f;
    float * loudness = m.loudness();
    for (int64_t k = 0; k < F; ++k) {
      const float re = left[2 * k], im = left[2 * k + 1], power = re * re + im * im;
      loudness[k] = kNearSmoothing * loudness[k] + (1.0f - kNearSmoothing) * power;
      if (loudness[k] < kLeast) loudness[k] = 0.0f;
      const float weight = 1.0f / (loudness[k] + kNearFloor);
      common += weight * (re * y_re[k] + im * y_im[k]);
      foretold += weight * (y_re[k] * y_re[k] + y_im[k] * y_im[k]);
      heard += weight * power;
    }
    for (int64_t l = 0; l < kHops; ++l) {
      const float *re = m.x_re(row(head, l)), *im = m.x_im(row(head, l));
      for (int64_t k = 0; k < F; ++k) sound += re[k] * re[k] + im[k] * im[k];
    }
    if (!(sound > kNearFloor * static_cast<float>(kHops * F))) return;
    head.common = smoothed(head.common, common);
    head.foretold = smoothed(head.foretold, foretold);
    head.heard = smoothed(head.heard, heard);
  }

  static float smoothed(float old, float now) {
    const float value = kProofSmoothing * old + (1.0f - kProofSmoothing) * now;
    return std::fabs(value) < kLeast ? 0.0f : value;
  }

  // How much of what is found is taken.
  static float taken(const Head & head) {
    const float fit = head.common / std::max(std::sqrt(head.foretold * head.heard), kNearFloor);
    return opened(fit, kShutBelow, kOpenAbove);
  }

  // One update -> the echo that is then found in the frame.
  void adapt(const Head & head, const Memory & m, const float * left, float * echo) const {
    const int64_t F = m.F;
    float y_re[kMostGateBins], y_im[kMostGateBins], total[kMostGateBins];
    predict(head, m, m.w_re(0), y_re, y_im);
    float * near = m.near();
    for (int64_t k = 0; k < F; ++k) {
      y_re[k] = left[2 * k] - y_re[k];
      y_im[k] = left[2 * k + 1] - y_im[k];
      const float power = y_re[k] * y_re[k] + y_im[k] * y_im[k];
      const float least = kNearSmoothing * near[k] + (1.0f - kNearSmoothing) * kNearShare * power;
      total[k] = std::max(near[k], least) + kNearFloor;
    }
    for (int64_t l = 0; l < kHops; ++l) {
      const float *re = m.x_re(row(head, l)), *im = m.x_im(row(head, l)), *v = m.v(l);
      for (int64_t k = 0; k < F; ++k) total[k] += v[k] * (re[k] * re[k] + im[k] * im[k]);
    }
    float taps[kMostGateBins] = {};
    for (int64_t l = 0; l < kHops; ++l) {
      const float *re = m.x_re(row(head, l)), *im = m.x_im(row(head, l));
      float *w_re = m.w_re(l), *w_im = m.w_im(l), *v = m.v(l);
      for (int64_t k = 0; k < F; ++k) {
        const float gain = v[k] / total[k];
        w_re[k] += gain * (re[k] * y_re[k] + im[k] * y_im[k]);
        w_im[k] += gain * (re[k] * y_im[k] - im[k] * y_re[k]);
        v[k] *= 1.0f - gain * (re[k] * re[k] + im[k] * im[k]);
        taps[k] += w_re[k] * w_re[k] + w_im[k] * w_im[k];
      }
    }
    for (int64_t l = 0; l < kHops; ++l) {
      const float *w_re = m.w_re(l), *w_im = m.w_im(l);
      float * v = m.v(l);
      for (int64_t k = 0; k < F; ++k) {
        const float tap = w_re[k] * w_re[k] + w_im[k] * w_im[k];
        const float path = tap + kShared * (taps[k] / kHops + kLeastPath);
        // In a long silence nothing is learned, and doubt must end somewhere.
        const float doubt = std::min(v[k] + kForget * path, kPrior + taps[k]);
        v[k] = std::max(doubt, kUncertaintyFloor);
      }
    }
    predict(head, m, m.w_re(0), y_re, y_im);
    for (int64_t k = 0; k < F; ++k) {
      const float re = left[2 * k] - y_re[k], im = left[2 * k + 1] - y_im[k];
      near[k] = kNearSmoothing * near[k] + (1.0f - kNearSmoothing) * (re * re + im * im);
      if (near[k] < kLeast) near[k] = 0.0f;
      echo[2 * k] = y_re[k];
      echo[2 * k + 1] = y_im[k];
    }
  }

  // `weights` lie as those of the memory do: real and imaginary rows by turns.
  void predict(const Head & head, const Memory & m, const float * weights, float * y_re,
               float * y_im) const {
    std::fill_n(y_re, m.F, 0.0f);
    std::fill_n(y_im, m.F, 0.0f);
    for (int64_t l = 0; l < kHops; ++l) {
      const float *re = m.x_re(row(head, l)), *im = m.x_im(row(head, l));
      const float *w_re = weights + 2 * l * m.F, *w_im = w_re + m.F;
      for (int64_t k = 0; k < m.F; ++k) {
        y_re[k] += w_re[k] * re[k] - w_im[k] * im[k];
        y_im[k] += w_re[k] * im[k] + w_im[k] * re[k];
      }
    }
  }

  int64_t P_;
  ExclusiveSlot state_;
};

}  // namespace

ggml_tensor * echo_follower(HopBuilder & b, const EchoFollower & follower, ggml_tensor * left,
                            ggml_tensor * ref, ggml_tensor * verdict) {
  const HopBuilder::Scope scope(b, follower.name);
  const int64_t F = left->ne[1];
  const int64_t floats = Memory::rows(follower.partitions) * F;
  const ExclusiveSlot state =
      b.exclusive("filters", kAlignment + static_cast<size_t>(floats) * sizeof(float));
  return b.custom(std::make_unique<EchoFollowerOp>(follower.partitions, state), {2, F},
                  {left, ref, verdict});
}

}  // namespace voxhop
