// What the files of the C interface share.
#pragma once

#include <string>
#include <vector>

#include "core/engine.h"
#include "core/run_hop.h"
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

/// Inputs, then outputs; `i` is checked.
size_t port_count(const ModelInfo & info);
vh_port_info port_info(const ModelInfo & info, size_t i);

/// Throws VH_E_ARGUMENT unless every output has an array.
void check_arrays(const ModelInfo & info, const void * const * inputs, void * const * outputs);

vh_session_figures figures_of(const ModelInfo & info);

/// Of VH_SAMPLES_*; checked.
SampleType sample_type_of(int32_t type);

}  // namespace voxhop
