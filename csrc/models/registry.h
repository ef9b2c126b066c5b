// The models of this build.
#pragma once

#include "core/engine.h"

namespace voxhop {

/// Every model and the block sets they run on.
const Catalog & catalog();

}  // namespace voxhop
