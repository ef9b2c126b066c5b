// The delay probe over a whole recording.
#pragma once

#include <cstdint>
#include <vector>

#include "voxhop.h"

namespace voxhop {

/// Runs DelayProbe and DelayTracker over n samples of both sides at `rate` and sums up.
/// The microphone waits options.advance_ms, so that delays below zero can be found too.
/// Throws VH_E_ARGUMENT, VH_E_SHAPE, VH_E_UNSUPPORTED.
vh_delay_estimate probe_clip(const float * mic, const float * ref, int64_t n, int64_t rate,
                             const vh_delay_options & options,
                             std::vector<vh_delay_point> & points);

}  // namespace voxhop
