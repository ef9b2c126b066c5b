#include "core/session.h"

#include <cstring>

#include "core/status.h"
#include "core/text.h"

namespace voxhop {

Session::Session(const Engine & engine, const PlanOptions & options)
    : engine_(engine),
      options_(options),
      built_(engine.make_plan(options)),
      format_(engine, built_),
      state_(built_.plan->layout()) {
  built_.plan->bind(state_);
}

void Session::set_options(const OptionValues & values) {
  PlanOptions options = options_;
  std::string offered;
  for (const OptionInfo & option : engine_.options()) {
    if (option.while_running) offered += (offered.empty() ? "" : ", ") + option.name;
  }
  for (const auto & [name, value] : values) {
    const bool may = (", " + offered + ",").find(", " + name + ",") != std::string::npos;
    VH_CHECK(may, VH_E_ARGUMENT, "%s: does not change while running; what does: %s",
             printable(name).c_str(), offered.empty() ? "none" : offered.c_str());
    options.values[name] = value;
  }
  BuiltPlan built = engine_.make_plan(options);
  State state(built.plan->layout());
  carry_over(built_.plan->layout(), state_, built.plan->layout(), state);
  const StateFormat format(engine_, built);
  options_ = std::move(options);
  built_ = std::move(built);
  format_ = format;
  state_ = std::move(state);
  built_.plan->bind(state_);
}

void Session::process(const void * mic, const void * ref, void * out, int64_t n,
                      SampleType samples) {
  const AudioHop hop(info(), mic, ref, out, n);
  process(hop.inputs, hop.outputs, samples);
}

void Session::read_tap(const std::string & name, float * values, int64_t count) const {
  for (const HopGraph::Tap & tap : taps()) {
    if (tap.name != name) continue;
    VH_CHECK(count == ggml_nelements(tap.tensor), VH_E_SHAPE, "tap %s: %lld values, expected %lld",
             name.c_str(), static_cast<long long>(count),
             static_cast<long long>(ggml_nelements(tap.tensor)));
    std::memcpy(values, tap.tensor->data, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  std::string known;
  for (const HopGraph::Tap & tap : taps()) {
    known += (known.empty() ? "" : ", ") + tap.name;
  }
  fail(VH_E_ARGUMENT, "tap: no such name, expected one of: %s", known.c_str());
}

}  // namespace voxhop
