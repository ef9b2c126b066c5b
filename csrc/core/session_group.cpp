#include "core/session_group.h"

#include "core/status.h"

namespace voxhop {

SessionGroup::SessionGroup(const Engine & engine, const PlanOptions & options, int64_t n_streams)
    : workers_(options.n_threads) {
  VH_CHECK(n_streams >= 1, VH_E_ARGUMENT, "group: %lld streams, expected at least 1",
           static_cast<long long>(n_streams));
  PlanOptions single = options;
  single.n_threads = 1;
  for (int i = 0; i < options.n_threads; ++i) {
    plans_.push_back(engine.make_plan(single));
  }
  format_ = std::make_unique<const StateFormat>(engine, plans_[0]);
  states_.reserve(static_cast<size_t>(n_streams));
  for (int64_t i = 0; i < n_streams; ++i) {
    states_.emplace_back(plans_[0].plan->layout());
  }
}

template <class Work>
void SessionGroup::for_active(const uint8_t * active, Work work) {
  workers_.run(static_cast<int>(states_.size()), [&](const WorkerPool::Turn & turn) {
    const auto stream = static_cast<size_t>(turn.chunk);
    if (active != nullptr && active[stream] == 0) return;
    work(*plans_[static_cast<size_t>(turn.worker)].plan, stream);
  });
}

void SessionGroup::process(const float * mic, const float * ref, const uint8_t * active,
                           float * out, int64_t n) {
  const AudioHop hop(info(), mic, ref, out, n);
  process(hop.inputs, hop.outputs, active, SampleType::kF32);
}

void SessionGroup::process(const void * const * inputs, void * const * outputs,
                           const uint8_t * active, SampleType samples) {
  const ModelInfo & m = info();
  for_active(active, [&](HopPlan & plan, size_t stream) {
    const void * in[kMaxPorts] = {};
    void * out[kMaxPorts] = {};
    const auto row = [&](const PortInfo & port) {
      return stream * static_cast<size_t>(port.count) * value_bytes(port, samples);
    };
    for (size_t i = 0; i < m.inputs.size(); ++i) {
      if (inputs[i] != nullptr)
        in[i] = static_cast<const std::byte *>(inputs[i]) + row(m.inputs[i]);
    }
    for (size_t i = 0; i < m.outputs.size(); ++i) {
      out[i] = static_cast<std::byte *>(outputs[i]) + row(m.outputs[i]);
    }
    run_hop(plan, states_[stream], in, out, samples);
  });
}

void SessionGroup::prepare(const uint8_t * active) {
  if (!plan().has_prepare()) return;
  for_active(active, [&](HopPlan & plan, size_t stream) {
    plan.bind(states_[stream]);
    plan.prepare();
  });
}

size_t SessionGroup::index(int64_t stream) const {
  VH_CHECK(stream >= 0 && stream < stream_count(), VH_E_ARGUMENT, "stream %lld, expected 0 to %lld",
           static_cast<long long>(stream), static_cast<long long>(stream_count() - 1));
  return static_cast<size_t>(stream);
}

void SessionGroup::reset(int64_t stream) {
  if (stream != -1) {
    states_[index(stream)].reset();
    return;
  }
  for (State & state : states_) {
    state.reset();
  }
}

void SessionGroup::save(int64_t stream, void * blob, size_t size) const {
  format_->save(states_[index(stream)], blob, size);
}

void SessionGroup::load(int64_t stream, const void * blob, size_t size) {
  format_->load(states_[index(stream)], blob, size);
}

void SessionGroup::fork(int64_t from, int64_t to) {
  const State & source = states_[index(from)];
  State & target = states_[index(to)];
  if (&source != &target) target.assign(source.data());
}

}  // namespace voxhop
