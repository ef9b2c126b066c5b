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
constexpr int32_t kRestartHops = 6;
constexpr int32_t kRestartPause = 60;
constexpr float kPlaying = 1e-4f;   // energy of a hop of a sounding reference
constexpr float kSilence = 1e-20f;  // a decaying power is cut off there

void smooth(float & power, float now) noexcept {
  power = kSmoothing * power + (1.0f - kSmoothing) * now;
  if (power < kSilence) power = 0.0f;
}

// Hops in a row; the count stops where nothing asks further.
int32_t counted(int32_t hops, bool holds) noexcept {
  return holds ? std::min(hops + 1, kTakeHops) : 0;
}

}  // namespace

EchoVerdict decide(EchoDecision & s, const EchoErrors & hop) noexcept {
  EchoVerdict verdict{};
  smooth(s.mic, hop.mic);
  smooth(s.steady, hop.steady);
  smooth(s.quick, hop.quick);
  const bool better = s.quick < kQuickBetter * s.steady && s.quick < kQuickUseful * s.mic;
  s.better_hops = counted(s.better_hops, better);
  verdict.take = s.better_hops >= kTakeHops;
  if (verdict.take) s.steady = s.quick;
  verdict.lost = s.quick > kQuickLost * s.steady;
  if (verdict.lost) s.quick = s.steady;
  const bool bad = s.quick > kRestartShare * s.mic && hop.ref > kPlaying;
  s.bad_hops = bad ? std::min(s.bad_hops + 1, kRestartHops) : std::max(s.bad_hops - 1, 0);
  s.pause_hops = std::max(s.pause_hops - 1, 0);
  verdict.restart = s.bad_hops >= kRestartHops && s.pause_hops == 0;
  if (verdict.restart) {
    s.quick = s.mic;
    s.bad_hops = 0;
    s.pause_hops = kRestartPause;
  }
  s.heard_hops = counted(s.heard_hops, s.quick < kQuickHeard * s.steady);
  verdict.heard = s.heard_hops >= kHeardHops;
  return verdict;
}

}  // namespace voxhop
