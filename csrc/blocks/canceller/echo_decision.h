// Which of the two filters is right, told from their errors before the update.
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

struct EchoVerdict {
  bool take;     // the steady filter takes the quick one's weights
  bool lost;     // then the quick filter takes the steady one's
  bool restart;  // then the quick filter starts again from nothing
  bool heard;    // the quick filter's estimate is the better one
};

EchoVerdict decide(EchoDecision & state, const EchoErrors & hop) noexcept;

}  // namespace voxhop
