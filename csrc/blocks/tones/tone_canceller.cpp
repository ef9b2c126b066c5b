#include "blocks/tones/tone_canceller.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstring>

#include "blocks/tones/tone_search.h"
#include "dsp/dot.h"

namespace voxhop {
namespace {

using tones::kHop;
using tones::Search;
using tones::Sighting;
using tones::Sightings;

constexpr int kTones = 16;
constexpr int kLanes = 16;
constexpr double kApart = 2.0 * 3.14159265358979323846 * 6.0 / 16000.0;  // rad per sample: 6 Hz
constexpr double kQuiet = 1e-4;                                          // amplitude
constexpr double kForget = 1e-4;
constexpr double kLagSmoothing = 0.9, kLagShare = 0.05;
constexpr double kFastest = 0.25;
constexpr double kFirstDoubt = 0.05, kFirstNear = 0.1;
constexpr double kNearSmoothing = 0.9, kNearRise = 0.2;
constexpr double kFitSmoothing = 0.9;
constexpr double kNoFit = 0.4, kFitRange = 0.3;
constexpr double kPhaseStep = 0.5;
constexpr uint32_t kIdleHops = 60;
constexpr double kPowerFloor = 1e-12;
constexpr float kPauseLouder = 4.0f;
constexpr float kLoudest = 1e9f;  // energy of a hop; louder is no audio

using Complex = std::complex<double>;

double smoothed(double old, double now, double share) {
  return share * old + (1.0 - share) * now;
}

/// Zeros: none. Amplitude and errors are told at the first sample of the next hop.
struct Tone {
  Complex amplitude;
  double rate;        // rad per sample
  double doubt;       // variance of the amplitude
  double near;        // smoothed power of what else is there
  Complex last, lag;  // the last hop's error, and smoothed errors
  double fit, power;  // smoothed Re<microphone, tone> and <tone, tone>
  double idle;        // hops in a row in which it was not there

  bool known() const { return amplitude != Complex{}; }
};

struct Memory {
  Sightings sightings;
  Tone tones[kTones];
};

/// e^(j rate n) over a hop.
struct Turns {
  float re[kHop], im[kHop];

  void fill(double rate) noexcept {
    double re_lane[kLanes], im_lane[kLanes];
    const Complex step = std::polar(1.0, rate), block = std::polar(1.0, rate * kLanes);
    Complex at = 1.0;
    for (int l = 0; l < kLanes; ++l) {
      re_lane[l] = at.real();
      im_lane[l] = at.imag();
      at *= step;
    }
    for (int n = 0; n < kHop; n += kLanes) {
      for (int l = 0; l < kLanes; ++l) {
        const double x = re_lane[l], y = im_lane[l];
        re[n + l] = static_cast<float>(x);
        im[n + l] = static_cast<float>(y);
        re_lane[l] = x * block.real() - y * block.imag();
        im_lane[l] = x * block.imag() + y * block.real();
      }
    }
  }

  /// out += share * Re(amplitude * turns)
  void add(Complex amplitude, double share, float * out) const noexcept {
    const auto x = static_cast<float>(share * amplitude.real());
    const auto y = static_cast<float>(share * amplitude.imag());
    for (int n = 0; n < kHop; ++n) out[n] += x * re[n] - y * im[n];
  }
};

class ToneCancellerOp final : public CustomOp {
 public:
  ToneCancellerOp(HopBuilder & b, ExclusiveSlot state) : state_(state) {
    b.shared_scratch(kTones * sizeof(Turns) + search_.work_size() * sizeof(double));
  }

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const auto * mic = static_cast<const float *>(dst->src[0]->data);
    auto * out = static_cast<float *>(dst->data);
    Memory & m = *state_.in<Memory>(context);
    std::copy_n(mic, kHop, out);
    if (!(dot(mic, mic, kHop) <= kLoudest)) {
      std::memset(static_cast<void *>(&m), 0, sizeof(Memory));
      return;
    }
    auto * turns = reinterpret_cast<Turns *>(context.scratch);
    auto * work = reinterpret_cast<double *>(turns + kTones);
    float without[kHop];
    std::copy_n(mic, kHop, without);
    track(m, mic, turns, out, without);
    std::array<Sighting, tones::kLookedAt> found;
    const int count = search_.look(m.sightings, without, found, work);
    for (int i = 0; i < count; ++i) begin(m, found[static_cast<size_t>(i)]);
  }

 private:
  // Follows the tones through a hop: `out` loses what fits of them, `without` all.
  static void track(Memory & m, const float * mic, Turns * turns, float * out, float * without) {
    int known[kTones], count = 0;
    float error[kHop];
    std::copy_n(mic, kHop, error);
    for (int i = 0; i < kTones; ++i) {
      if (!m.tones[i].known()) continue;
      turns[count].fill(m.tones[i].rate);
      turns[count].add(m.tones[i].amplitude, -1.0, error);
      known[count++] = i;
    }
    if (count == 0) return;
    float sound[kHop] = {};
    for (int i = 0; i < count; ++i) {
      const Turns & t = turns[i];
      const Complex c{dot(error, t.re, kHop), -double{dot(error, t.im, kHop)}};
      follow(m.tones[known[i]], c * (2.0 / kHop), t, sound, without);
    }
    const float fits = dot(mic, sound, kHop), energy = dot(sound, sound, kHop);
    const bool pause = energy > kPauseLouder * dot(mic, mic, kHop);
    const float best =
        std::clamp(fits / std::max(energy, static_cast<float>(kPowerFloor)), 0.0f, 1.0f);
    const float share = pause ? best : 1.0f;
    for (int n = 0; n < kHop; ++n) out[n] = mic[n] - share * sound[n];
  }

  // c: the amplitude's error.
  static void follow(Tone & t, Complex c, const Turns & turns, float * sound, float * without) {
    const double power = std::norm(t.amplitude);
    const Complex along = c * std::conj(t.amplitude);
    t.fit = smoothed(t.fit, along.real() + power, kFitSmoothing);
    t.power = smoothed(t.power, power, kFitSmoothing);
    const double there =
        std::clamp((t.fit / (t.power + kPowerFloor) - kNoFit) / kFitRange, 0.0, 1.0);

    // What lags behind goes on from hop to hop; what else is there does not.
    const double noise = std::norm(c - t.last) / 2.0;
    const Complex lag = kLagSmoothing * t.lag + (1.0 - kLagSmoothing) * c;
    const double total = std::max(t.near, smoothed(t.near, noise, 1.0 - kNearRise));
    const double gain = std::min(t.doubt / (t.doubt + total + kPowerFloor), kFastest);
    const double late = std::clamp(along.imag() / (power + kPowerFloor), -kPhaseStep, kPhaseStep);
    const Complex amplitude = t.amplitude + gain * c;
    turns.add(amplitude, there, sound);
    turns.add(amplitude, -1.0, without);

    t.rate += gain * gain / 4.0 * late / kHop;
    const Complex turn = std::polar(1.0, t.rate * kHop);
    t.amplitude = amplitude * turn;
    t.doubt = t.doubt * (1.0 - gain) + kForget * power + kLagShare * std::norm(lag);
    t.near = smoothed(t.near, noise, kNearSmoothing);
    t.last = c * turn;
    t.lag = lag * turn;
    t.idle = there > 0.0 ? 0.0 : t.idle + 1.0;
    if (t.idle > kIdleHops || !(std::abs(t.amplitude) >= kQuiet)) t = Tone{};
  }

  // Gives a tone the first free place, unless it is known.
  static void begin(Memory & m, const Sighting & s) {
    Tone * place = nullptr;
    for (Tone & t : m.tones) {
      if (t.known() && std::abs(t.rate - s.rate) < kApart) return;
      if (!t.known() && place == nullptr) place = &t;
    }
    if (place == nullptr || !(s.amplitude >= kQuiet)) return;
    const double power = s.amplitude * s.amplitude;
    *place = {};
    place->amplitude = std::polar(s.amplitude, s.phase);
    place->rate = s.rate;
    place->doubt = kFirstDoubt * power;
    place->near = kFirstNear * power;
    place->fit = power / 2.0;
    place->power = power;
  }

  Search search_;
  ExclusiveSlot state_;
};

}  // namespace

ggml_tensor * tone_canceller(HopBuilder & b, const std::string & name, ggml_tensor * mic) {
  const HopBuilder::Scope scope(b, name);
  const ExclusiveSlot state = b.exclusive("tones", sizeof(Memory));
  return b.custom(std::make_unique<ToneCancellerOp>(b, state), {kHop}, {mic});
}

}  // namespace voxhop
