// Where a stream starts in the middle of its first hop.
#pragma once

#include <ggml.h>

#include <string>

#include "core/hop_builder.h"

namespace voxhop {

/// x, with zeros in place of the first column in the first hop of a stream, whatever that holds:
/// (C, n) -> (C, n). For frames that would lie before the stream. State: whether it has started.
ggml_tensor * silent_before_start(HopBuilder & b, const std::string & name, ggml_tensor * x);

}  // namespace voxhop
