// Which of the two filters is right, told from their errors before the update, and how much of an
// estimate may be subtracted.
#pragma once

#include <cstdint>

namespace voxhop {

/// State of the decision: smoothed powers and counts of hops. Zeros at the start.
struct EchoDecision {
  float steady, quick, mic;
  int32_t better_hops, heard_hops, bad_hops, pause_hops;
};

/// Energies of one hop.
struct EchoErrors {
  float steady, quick, mic, ref;
};

constexpr int kVerdictFloats = 16;
constexpr int kVerdictPlace = 4;  // which of them is the place

struct EchoVerdict {
  bool take;     // the steady filter takes the quick one's weights
  bool lost;     // then the quick filter takes the steady one's
  bool restart;  // then the quick filter starts again from nothing
  bool heard;    // the quick filter's estimate is the better one
  int place;     // partition in which the echo is strongest; -1 when nothing is known

  /// As 16 floats for gate and follower: take, lost, restart, heard, place, zeros.
  void write(float * floats) const noexcept;
};

/// `place` says in which partition the echo is; without one nothing starts again.
EchoVerdict decide(EchoDecision & state, const EchoErrors & hop, int place) noexcept;

/// Hops since the quick filter started again, or 0 when that is too long ago to matter.
int hops_since_restart(const EchoDecision & state) noexcept;

/// Where 32 samples of an estimate are 6 dB louder than the microphone, only what fits best of
/// them stays: an estimate in a pause is a wrong one, whatever a talker does. n a multiple of 32.
void spare_pauses(const float * mic, int n, float * estimate) noexcept;

}  // namespace voxhop
