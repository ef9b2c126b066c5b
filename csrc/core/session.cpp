#include "core/session.h"

#include <cstring>

#include "core/run_hop.h"
#include "core/status.h"

namespace voxhop {

Session::Session(const Engine & engine, const PlanOptions & options)
    : engine_(engine),
      n_threads_(options.n_threads),
      built_(engine.make_plan(options)),
      format_(engine, built_),
      state_(built_.plan->layout()) {
  built_.plan->bind(state_);
}

void Session::check_length(int64_t n) const {
  const int64_t hop = engine_.info().hop_samples;
  VH_CHECK(n == hop, VH_E_SHAPE, "%lld samples, expected one hop of %lld",
           static_cast<long long>(n), static_cast<long long>(hop));
}

void Session::process(const float * mic, const float * ref, float * out, int64_t n) {
  check_length(n);
  run_hop(*built_.plan, state_, mic, ref, out, n);
}

void Session::process(const int16_t * mic, const int16_t * ref, int16_t * out, int64_t n) {
  check_length(n);
  run_hop(*built_.plan, state_, mic, ref, out, n);
}

void Session::read_tap(const std::string & name, float * values, int64_t count) const {
  for (const HopGraph::Port & tap : taps()) {
    if (tap.name != name) continue;
    VH_CHECK(count == ggml_nelements(tap.tensor), VH_E_SHAPE, "tap %s: %lld values, expected %lld",
             name.c_str(), static_cast<long long>(count),
             static_cast<long long>(ggml_nelements(tap.tensor)));
    std::memcpy(values, tap.tensor->data, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  std::string known;
  for (const HopGraph::Port & tap : taps()) {
    known += (known.empty() ? "" : ", ") + tap.name;
  }
  fail(VH_E_ARGUMENT, "tap: no such name, expected one of: %s", known.c_str());
}

}  // namespace voxhop
