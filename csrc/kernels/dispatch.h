// Picks the kernels for this CPU.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace voxhop::kernels {

/// Instruction sets this build carries and this CPU runs, best first.
std::vector<std::string> available_isas();

/// Table of `isa`, or of the best one for "auto"; null when this build or CPU lacks it.
/// Static storage; the same pointer every time.
const KernelTable * find_table(const std::string & isa);

}  // namespace voxhop::kernels
