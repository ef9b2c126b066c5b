// What the files of the C interface share.
#pragma once

#include <string>
#include <vector>

#include "core/engine.h"
#include "models/registry.h"
#include "voxhop.h"

struct vh_model {
  explicit vh_model(const voxhop::GgufFile & file) : engine(file, voxhop::catalog()) {
    for (const auto & [key, value] : engine.metadata()) {
      if (key == "general.name") name = value;
    }
    for (voxhop::OptionInfo info : engine.options()) {
      std::string choices;
      for (const std::string & choice : info.choices) {
        choices += (choices.empty() ? "" : ",") + choice;
      }
      options.push_back({std::move(info), std::move(choices)});
    }
  }
  voxhop::Engine engine;
  struct Option {
    voxhop::OptionInfo info;
    std::string choices;
  };
  std::vector<Option> options;
  std::string name;
};

namespace voxhop {

/// Checks a caller's options; null means the defaults.
PlanOptions plan_options(const vh_session_options * options);

}  // namespace voxhop
