// The linear echo canceller: two adaptive filters and the gate behind them. The design, its
// equations and constants: docs/canceller.md and voxhop.reference.canceller.
#pragma once

#include <ggml.h>

#include <cstdint>
#include <string>

#include "core/hop_builder.h"
#include "kernels/kernels.h"

namespace voxhop {

/// Partitioned Kalman filters, steady and quick, over `partitions` hops of reference.
/// State: spectra of the reference, and weights, their uncertainty and the near end's power of
/// both filters; 16 KB per partition.
struct EchoFilter {
  static constexpr int64_t kHop = 256;   // samples
  static constexpr int64_t kGroup = 16;  // partitions come in whole groups
  static constexpr int64_t kFewest = 16, kMost = 48;

  std::string name;  // state scope, unique in the model
  int64_t partitions = 32;
};

struct EchoEstimate {
  ggml_tensor * after;   // (hop) by the better filter, adapted to the hop: to be subtracted
  ggml_tensor * before;  // (hop) by the steady filter before it saw the hop: to be judged by
};

/// mic (hop), ref (hop) -> the echo in mic. A hop that is not finite, or louder than any audio,
/// restarts the filters and gives silence.
EchoEstimate echo_filter_on(HopBuilder & b, const kernels::KernelTable & kernels,
                            const EchoFilter & filter, ggml_tensor * mic, ggml_tensor * ref);

/// Spectra (2, F) of the microphone and of both estimates -> the residual's. Bands in which the
/// estimate does not prove to be in the microphone are left alone; no frame becomes louder. F a
/// multiple of 8. State: how well each band's estimate fitted.
ggml_tensor * echo_gate(HopBuilder & b, const std::string & name, ggml_tensor * mic,
                        ggml_tensor * after, ggml_tensor * before);

/// What the gate took: the microphone's spectrum (2, F) less the residual's.
ggml_tensor * echo_taken(HopBuilder & b, ggml_tensor * mic, ggml_tensor * residual);

}  // namespace voxhop
