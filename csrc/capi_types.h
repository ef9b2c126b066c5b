// What the files of the C interface share.
#pragma once

#include <string>

#include "core/engine.h"
#include "models/registry.h"
#include "voxhop.h"

struct vh_model {
  explicit vh_model(const voxhop::GgufFile & file) : engine(file, voxhop::catalog()) {
    for (const auto & [key, value] : engine.metadata()) {
      if (key == "general.name") name = value;
    }
  }
  voxhop::Engine engine;
  std::string name;
};

namespace voxhop {

/// Checks a caller's options; null means the defaults.
PlanOptions plan_options(const vh_session_options * options);

}  // namespace voxhop
