// Where a model's own alignment looks for the echo.
#pragma once

#include <cstdint>
#include <vector>

#include "voxhop.h"

namespace voxhop {

/// In hops, after the last hop of `session`; -1 for a model that does not tell. `weights` has
/// model_delays(session) values and is overwritten; *confidence, if not null, becomes the share of
/// the alignment's weight within a hop of the delay. Allocates nothing.
int64_t read_model_delay(vh_session * session, std::vector<float> & weights,
                         double * confidence) noexcept;

}  // namespace voxhop
