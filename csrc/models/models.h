// One ModelDef per architecture; each lives in its own file.
#pragma once

#include "core/model.h"

namespace voxhop {

ModelDef localvqe_model();
ModelDef seflow_model();
ModelDef streamfm_model();
ModelDef sublime_model();

}  // namespace voxhop
