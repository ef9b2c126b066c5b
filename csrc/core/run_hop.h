// One hop of samples through a plan.
#pragma once

#include <cstdint>

#include "core/hop_plan.h"

namespace voxhop {

/// One hop of the stream `state`: `n` samples each, n = hop_samples. `ref` may be null
/// (silence); `out` may be an input. int16 is scaled by 1/32768 on the way in, rounded and
/// saturated on the way out.
void run_hop(HopPlan & plan, State & state, const float * mic, const float * ref, float * out,
             int64_t n);
void run_hop(HopPlan & plan, State & state, const int16_t * mic, const int16_t * ref, int16_t * out,
             int64_t n);

}  // namespace voxhop
