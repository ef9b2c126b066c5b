#include "stream/mixer.h"

#include <algorithm>
#include <cmath>

namespace voxhop {
namespace {

constexpr double kBypassSeconds = 0.02, kGateHoldSeconds = 0.2, kGapSeconds = 0.3;
constexpr float kGateRelease = 0.1f;  // per hop
constexpr double kTiny = 1e-12;
// Energy over the mean of an echo that sounds: echo has little above, a talker who begins has.
constexpr double kMargin = 2.0;
constexpr double kLearn = 0.1, kForget = 0.99;  // per hop
constexpr float kGapRelease = 1.5f;             // per hop

// Energies of a signal and of its first difference; the difference weights the top of the
// band, whose gain is the best guess for the band above it.
struct Energies {
  double all = kTiny, top = kTiny;
};

Energies energies(const float * x, int64_t n) {
  Energies e;
  float before = x[0];
  for (int64_t i = 0; i < n; ++i) {
    const double difference = static_cast<double>(x[i]) - static_cast<double>(before);
    e.all += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    e.top += difference * difference;
    before = x[i];
  }
  return e;
}

}  // namespace

Mixer::Mixer(int64_t rate)
    : bypass_step_(static_cast<float>(1.0 / (kBypassSeconds * static_cast<double>(rate)))),
      hold_samples_(static_cast<int64_t>(kGateHoldSeconds * static_cast<double>(rate))),
      longest_gap_(static_cast<int64_t>(kGapSeconds * static_cast<double>(rate))) {}

void Mixer::reset(const MixControls & controls) noexcept {
  gains_ = {controls.strength, 1.0f - controls.strength, 1.0f};
  bypass_ = controls.bypass ? 1.0f : 0.0f;
  gate_ = 1.0f;
  held_ = 0;
  gap_ = 1.0f;
  gap_samples_ = 0;
  heard_ = passed_ = level_ = 0.0;
}

Mixer::Gains Mixer::target(const MixControls & controls, const float * wet, const float * dry,
                           int64_t n) noexcept {
  const Energies in = energies(dry, n), out = energies(wet, n);
  const float gap = gap_gain(controls, in.all, out.all, n);
  const auto gain = gap * static_cast<float>(std::sqrt(out.all / in.all));
  const float top = gap * static_cast<float>(std::min(1.0, std::sqrt(out.top / in.top)));
  // What is left of the echo and what is mixed back add in power.
  const float add =
      controls.floor > gain ? std::sqrt(controls.floor * controls.floor - gain * gain) : 0.0f;
  Gains gains;
  gains.wet = gap * controls.strength;
  gains.dry = 1.0f - controls.strength + controls.strength * add;
  gains.high = gains.dry + (controls.high_follows ? controls.strength * top : 0.0f);
  const double power = (static_cast<double>(gains.wet * gains.wet) * out.all +
                        static_cast<double>(gains.dry * gains.dry) * in.all) /
                       static_cast<double>(n);
  const float gate = gate_gain(controls, power, n);
  return {gate * gains.wet, gate * gains.dry, gate * gains.high};
}

float Mixer::gap_gain(const MixControls & controls, double in, double out, int64_t n) noexcept {
  gap_ = std::min(1.0f, kGapRelease * gap_);
  gap_samples_ = controls.gap ? gap_samples_ + n : 0;
  // What was known of the echo does not last through a long gap.
  if (gap_samples_ > longest_gap_) passed_ = heard_;
  if (!controls.gap) {
    heard_ += kLearn * (in - heard_);
    level_ = std::max(heard_, kForget * level_);
    // Without a reference there is no echo: all that is heard may pass.
    passed_ += kLearn * ((controls.echo ? out : in) - passed_);
    return gap_;
  }
  const double share = std::min(1.0, (passed_ + kTiny) / (heard_ + kTiny));
  const double usual = std::min(in, kMargin * level_);
  // What is held back is a share of what an echo had: nothing where none is known, even of
  // an output louder than the microphone. A little more than usual makes up for the edges of
  // the gap; where the near end speaks, the share is near one and little is held back.
  const double held = (1.0 - share * std::sqrt(std::sqrt(share))) * usual;
  const double allowed = std::max(in, out) - held;
  gap_ = std::min(gap_, static_cast<float>(std::sqrt(std::min(1.0, allowed / out))));
  return gap_;
}

// Opens at once, closes over ten hops after a fifth of a second below the threshold.
float Mixer::gate_gain(const MixControls & controls, double mean_square, int64_t n) noexcept {
  const auto threshold = static_cast<double>(controls.gate);
  if (controls.gate <= 0.0f || mean_square >= threshold * threshold) {
    held_ = 0;
    gate_ = 1.0f;
  } else {
    held_ = std::min(held_ + n, hold_samples_);
    if (held_ == hold_samples_) gate_ = std::max(0.0f, gate_ - kGateRelease);
  }
  return gate_;
}

void Mixer::mix(const MixControls & controls, const float * wet, const float * dry, int64_t n,
                float * out, float * high) noexcept {
  const Gains from = gains_;
  gains_ = target(controls, wet, dry, n);
  const float goal = controls.bypass ? 1.0f : 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    const float t = static_cast<float>(i + 1) / static_cast<float>(n);
    bypass_ += std::clamp(goal - bypass_, -bypass_step_, bypass_step_);
    const float on = 1.0f - bypass_;
    const float wet_gain = on * (from.wet + t * (gains_.wet - from.wet));
    const float dry_gain = on * (from.dry + t * (gains_.dry - from.dry)) + bypass_;
    high[i] = on * (from.high + t * (gains_.high - from.high)) + bypass_;
    out[i] = wet_gain * wet[i] + dry_gain * dry[i];
  }
}

}  // namespace voxhop
