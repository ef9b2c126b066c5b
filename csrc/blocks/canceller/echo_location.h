// Where in the tail the echo lies, told from microphone and reference alone: what a filter that
// starts again begins with.
#pragma once

#include "blocks/canceller/canceller.h"
#include "kernels/kernels.h"

namespace voxhop {

/// Bins that are looked at: 250 Hz to 4.2 kHz, where speech is.
constexpr int kLocateFrom = 8, kLocateBins = 128;

struct EchoPlace {
  float share[EchoFilter::kMost];  // of the echo's energy in each partition; sums to 1 or 0
  int strongest;                   // partition; -1 where none stands out
};

/// Place from `spectra`, smoothed cross-spectra of kLocateBins x partitions. The energy of
/// partitions without an echo is told by their median; behind an echo a room decays.
EchoPlace locate_echo(const kernels::KernelTable & kernels, const kernels::EchoLocation & spectra);

}  // namespace voxhop
