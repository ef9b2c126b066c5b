#include "core/session.h"

#include <cstring>

#include "core/status.h"
#include "core/text.h"

namespace voxhop {

Runner::Runner(const Engine & engine, const PlanOptions & wanted)
    : options(wanted),
      built(engine.make_plan(wanted)),
      format(engine, built),
      state(built.plan->layout()) {
  built.plan->bind(state);
}

std::unique_ptr<Runner> Session::build(const OptionValues & values) const {
  PlanOptions options = now_->options;
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
  return std::make_unique<Runner>(engine_, options);
}

void Session::switch_to(std::unique_ptr<Runner> & other) noexcept {
  carry_over(now_->built.plan->layout(), now_->state, other->built.plan->layout(), other->state);
  other->built.plan->set_comfort_noise(comfort_noise_);
  now_.swap(other);
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
