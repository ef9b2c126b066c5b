// Many streams on one model: shared weights, one set of activations per thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/engine.h"
#include "core/run_hop.h"
#include "core/state.h"
#include "core/state_format.h"
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
  /// The same for any model: an array (streams, values) per port, as for Session.
  void process(const void * const * inputs, void * const * outputs, const uint8_t * active,
               SampleType samples);

  /// Does the active streams' share of their next hop that depends on the past only.
  void prepare(const uint8_t * active);

  /// One stream, or all with -1, back to the start.
  void reset(int64_t stream);

  void set_comfort_noise(bool on) noexcept {
    for (BuiltPlan & built : plans_) built.plan->set_comfort_noise(on);
  }

  /// Blobs are those of Session.
  size_t state_size() const { return format_->size(); }
  void save(int64_t stream, void * blob, size_t size) const;
  void load(int64_t stream, const void * blob, size_t size);
  /// Lets the stream `to` continue from where `from` is.
  void fork(int64_t from, int64_t to);

  /// Of the network that the options chose.
  const ModelInfo & info() const { return plans_[0].variant->info; }
  int64_t stream_count() const { return static_cast<int64_t>(states_.size()); }
  const BlockSet & blocks() const { return *plans_[0].blocks.blocks; }
  const HopPlan & plan() const { return *plans_[0].plan; }
  int n_threads() const { return workers_.size(); }
  /// Of one stream, what prepare() keeps included.
  size_t state_bytes() const { return states_[0].memory(); }

 private:
  size_t index(int64_t stream) const;
  /// Calls work(plan, stream) for every active stream, shared by the workers.
  template <class Work>
  void for_active(const uint8_t * active, Work work);

  std::vector<BuiltPlan> plans_;  // one per worker
  std::vector<State> states_;     // one per stream
  std::unique_ptr<const StateFormat> format_;
  WorkerPool workers_;
};

}  // namespace voxhop
