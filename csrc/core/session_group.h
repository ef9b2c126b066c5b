// Many streams on one model: shared weights, one set of activations per thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/engine.h"
#include "core/state.h"
#include "core/worker_pool.h"

namespace voxhop {

/// Belongs to one thread at a time; its workers are its own. A stream costs its state
/// bytes only. The engine must outlive it.
class SessionGroup {
 public:
  /// `options.n_threads` workers share the streams; each hop of a stream runs on one.
  SessionGroup(const Engine & engine, const PlanOptions & options, int64_t n_streams);

  /// One hop of every stream for which `active` is not 0 (null: all). Arrays are
  /// (streams, n) floats; `ref` may be null, `out` may be an input. Rows of inactive
  /// streams are neither read nor written.
  void process(const float * mic, const float * ref, const uint8_t * active, float * out,
               int64_t n);

  /// One stream, or all with -1, back to the start.
  void reset(int64_t stream);

  int64_t stream_count() const { return static_cast<int64_t>(states_.size()); }
  const BlockSet & blocks() const { return *plans_[0].blocks.blocks; }
  const HopPlan & plan() const { return *plans_[0].plan; }
  int n_threads() const { return workers_.size(); }
  size_t state_bytes() const { return states_[0].size(); }

 private:
  void hop(HopPlan & plan, State & state, const float * mic, const float * ref, float * out);

  const Engine & engine_;
  std::vector<BuiltPlan> plans_;  // one per worker
  std::vector<State> states_;     // one per stream
  WorkerPool workers_;
};

}  // namespace voxhop
