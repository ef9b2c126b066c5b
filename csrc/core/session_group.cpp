#include "core/session_group.h"

#include <algorithm>

#include "core/status.h"

namespace voxhop {

SessionGroup::SessionGroup(const Engine & engine, const PlanOptions & options, int64_t n_streams)
    : engine_(engine), workers_(options.n_threads) {
  VH_CHECK(n_streams >= 1, VH_E_ARGUMENT, "group: %lld streams, expected at least 1",
           static_cast<long long>(n_streams));
  VH_CHECK(!options.history_first, VH_E_UNSUPPORTED,
           "group: history_first, but a group computes each stream's hop at once");
  PlanOptions single = options;
  single.n_threads = 1;
  for (int i = 0; i < options.n_threads; ++i) {
    plans_.push_back(engine.make_plan(single));
  }
  states_.reserve(static_cast<size_t>(n_streams));
  for (int64_t i = 0; i < n_streams; ++i) {
    states_.emplace_back(plans_[0].plan->layout());
  }
}

void SessionGroup::hop(HopPlan & plan, State & state, const float * mic, const float * ref,
                       float * out) {
  const int64_t n = engine_.info().hop_samples;
  plan.bind(state);
  std::copy_n(mic, n, plan.input(0));
  if (plan.input_count() > 1) {
    if (ref != nullptr) {
      std::copy_n(ref, n, plan.input(1));
    } else {
      std::fill_n(plan.input(1), n, 0.0f);
    }
  }
  plan.run();
  std::copy_n(plan.output(0), n, out);
}

void SessionGroup::process(const float * mic, const float * ref, const uint8_t * active,
                           float * out, int64_t n) {
  VH_CHECK(n == engine_.info().hop_samples, VH_E_SHAPE,
           "%lld samples per stream, expected one hop of %lld", static_cast<long long>(n),
           static_cast<long long>(engine_.info().hop_samples));
  workers_.run(static_cast<int>(states_.size()), [&](int stream, int worker) {
    if (active != nullptr && active[stream] == 0) return;
    const int64_t row = stream * n;
    hop(*plans_[static_cast<size_t>(worker)].plan, states_[static_cast<size_t>(stream)], mic + row,
        ref == nullptr ? nullptr : ref + row, out + row);
  });
}

void SessionGroup::reset(int64_t stream) {
  VH_CHECK(stream >= -1 && stream < stream_count(), VH_E_ARGUMENT,
           "stream %lld, expected -1 (all) to %lld", static_cast<long long>(stream),
           static_cast<long long>(stream_count() - 1));
  for (int64_t i = 0; i < stream_count(); ++i) {
    if (stream == -1 || stream == i) states_[static_cast<size_t>(i)].reset();
  }
}

}  // namespace voxhop
