#include "blocks/canceller/echo_decision.h"

#include <algorithm>

namespace voxhop {
namespace {

constexpr float kSmoothing = 0.8f;           // of powers, per hop
constexpr float kQuickBetter = 0.79432823f;  // -1 dB against the steady filter
constexpr float kQuickUseful = 0.8f;         // and against the microphone
constexpr int32_t kTakeHops = 3;
constexpr float kQuickHeard = 0.89125094f;  // -0.5 dB
constexpr int32_t kHeardHops = 2;
constexpr float kQuickLost = 3.9810717f;  // 6 dB
constexpr float kRestartShare = 0.5f;     // of the microphone's power
constexpr float kWorseShare = 1.6f;       // worse than no filter: counts twice
constexpr int32_t kRestartHops = 6;
constexpr int32_t kLocateHops = 40;  // after a restart
constexpr int32_t kRestartPause = 60;
constexpr float kPlaying = 1e-4f;   // energy of a hop of a sounding reference or microphone
constexpr float kSilence = 1e-20f;  // a decaying power is cut off there
constexpr int kPauseBlock = 32;     // samples
constexpr float kPauseLouder = 4.0f;
constexpr float kEnergyFloor = 1e-12f;

void smooth(float & power, float now) noexcept {
  power = kSmoothing * power + (1.0f - kSmoothing) * now;
  if (power < kSilence) power = 0.0f;
}

// Hops in a row; the count stops where nothing asks further.
int32_t counted(int32_t hops, bool holds) noexcept {
  return holds ? std::min(hops + 1, kTakeHops) : 0;
}

}  // namespace

void EchoVerdict::write(float * floats) const noexcept {
  std::fill_n(floats, kVerdictFloats, 0.0f);
  const bool values[] = {take, lost, restart, heard};
  for (int i = 0; i < 4; ++i) floats[i] = values[i] ? 1.0f : 0.0f;
  floats[kVerdictPlace] = static_cast<float>(place);
}

EchoVerdict decide(EchoDecision & s, const EchoErrors & hop, int place) noexcept {
  EchoVerdict verdict{};
  verdict.place = place;
  smooth(s.mic, hop.mic);
  smooth(s.steady, hop.steady);
  smooth(s.quick, hop.quick);
  const bool better = s.quick < kQuickBetter * s.steady && s.quick < kQuickUseful * s.mic;
  s.better_hops = counted(s.better_hops, better);
  verdict.take = s.better_hops >= kTakeHops;
  if (verdict.take) s.steady = s.quick;
  verdict.lost = s.quick > kQuickLost * s.steady;
  if (verdict.lost) s.quick = s.steady;
  const bool playing = hop.ref > kPlaying;
  const bool bad = playing && s.quick > kRestartShare * s.mic;
  const bool worse = playing && s.quick > kWorseShare * s.mic;
  s.bad_hops = std::clamp(s.bad_hops + (worse ? 2 : bad ? 1 : -1), 0, kRestartHops);
  s.pause_hops = std::max(s.pause_hops - 1, 0);
  verdict.restart =
      s.bad_hops >= kRestartHops && s.pause_hops == 0 && s.mic > kPlaying && place >= 0;
  if (verdict.restart) {
    s.quick = s.mic;
    s.bad_hops = 0;
    s.pause_hops = kRestartPause;
  }
  s.heard_hops = counted(s.heard_hops, s.quick < kQuickHeard * s.steady);
  verdict.heard = s.heard_hops >= kHeardHops;
  return verdict;
}

int hops_since_restart(const EchoDecision & s) noexcept {
  const int32_t since = kRestartPause - s.pause_hops;
  return s.pause_hops > 0 && since < kLocateHops ? since : 0;
}

void spare_pauses(const float * mic, int n, float * estimate) noexcept {
  for (int begin = 0; begin < n; begin += kPauseBlock) {
    float fits = 0.0f, heard = 0.0f, energy = 0.0f;
    for (int i = begin; i < begin + kPauseBlock; ++i) {
      fits += mic[i] * estimate[i];
      heard += mic[i] * mic[i];
      energy += estimate[i] * estimate[i];
    }
    if (energy <= kPauseLouder * heard) continue;
    const float best = std::clamp(fits / (energy + kEnergyFloor), 0.0f, 1.0f);
    for (int i = begin; i < begin + kPauseBlock; ++i) estimate[i] *= best;
  }
}

}  // namespace voxhop
