// Picks the kernels for this CPU.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace voxhop::kernels {

/// Instruction sets this build carries and this CPU runs, best first. "amx" is the next one
/// with tiles for bf16 and int8 rows.
std::vector<std::string> available_isas();

/// Table of `isa`, or of the best one for "auto"; null when this build or CPU lacks it or,
/// with "amx", when the kernel refuses this process the tiles. Static storage; the same
/// pointer every time. `narrow` says that bf16 or int8 rows will be used: only then does
/// "auto" ask for tiles.
const KernelTable * find_table(const std::string & isa, bool narrow = false);

}  // namespace voxhop::kernels
