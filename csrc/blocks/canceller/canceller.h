// The linear echo canceller: two adaptive filters, the gate and the follower behind them. The
// design, its equations and constants: docs/canceller.md and voxhop.reference.canceller.
#pragma once

#include <ggml.h>

#include <cstdint>
#include <string>

#include "core/hop_builder.h"
#include "kernels/kernels.h"

namespace voxhop {

/// Partitioned Kalman filters, steady and quick, over `partitions` hops of reference.
/// State: spectra of the reference, weights, their uncertainty and the near end's power of both
/// filters, and where the echo lies; 17 KB per partition.
struct EchoFilter {
  static constexpr int64_t kHop = 256;   // samples
  static constexpr int64_t kGroup = 16;  // partitions come in whole groups
  static constexpr int64_t kFewest = 16, kMost = 48;

  std::string name;  // state scope, unique in the model
  int64_t partitions = 32;
};

struct EchoEstimate {
  ggml_tensor * after;    // (hop) by the better filter, adapted to the hop: to be subtracted
  ggml_tensor * steady;   // (hop) by each filter before it saw the hop: to be judged by
  ggml_tensor * quick;    // (hop)
  ggml_tensor * verdict;  // (kVerdictFloats) what passed between the filters, and where the echo
                          // is: see EchoVerdict
};

/// mic (hop), ref (hop) -> the echo in mic. A hop that is not finite, or louder than any audio,
/// restarts the filters and gives silence.
EchoEstimate echo_filter_on(HopBuilder & b, const kernels::KernelTable & kernels,
                            const EchoFilter & filter, ggml_tensor * mic, ggml_tensor * ref);

/// Spectra (2, F) of the microphone and of the estimates, and their verdict -> the residual's
/// spectrum. Bands in which the heard filter's estimate does not prove to be in the microphone are
/// left alone; no frame becomes louder. F a multiple of 8, at most kMostGateBins. State: how well
/// each filter's estimate fitted in each band.
constexpr int64_t kMostGateBins = 256;
ggml_tensor * echo_gate(HopBuilder & b, const std::string & name, ggml_tensor * mic,
                        const EchoEstimate & spectra);

/// Short filters over hops of the reference's frames.
struct EchoFollower {
  static constexpr int64_t kHops = 8;

  std::string name;         // state scope, unique in the model
  int64_t partitions = 32;  // of the echo filter: how far away the echo may be
};

/// Spectra (2, F) of what the gate left and of the reference, and the echo filter's verdict -> what
/// is left when eight hops of the reference explain all that they can. No frame becomes louder. F a
/// multiple of 8, at most kMostGateBins. State: frames of the reference, weights and their
/// uncertainty, the near end's power. A frame that is not finite, or louder than any audio,
/// restarts it and stays as it is.
ggml_tensor * echo_follower(HopBuilder & b, const EchoFollower & follower, ggml_tensor * left,
                            ggml_tensor * ref, ggml_tensor * verdict);

/// What was taken: the microphone's spectrum (2, F) less the residual's.
ggml_tensor * echo_taken(HopBuilder & b, ggml_tensor * mic, ggml_tensor * residual);

}  // namespace voxhop
