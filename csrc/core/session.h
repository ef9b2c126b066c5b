// One stream: its state, and the plan that advances it hop by hop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/engine.h"
#include "core/state.h"

namespace voxhop {

/// Belongs to one thread at a time. The engine must outlive it.
class Session {
 public:
  Session(const Engine & engine, const PlanOptions & options);

  /// One hop of `n` samples each. `ref` may be null (silence); `out` may alias inputs.
  void process(const float * mic, const float * ref, float * out, int64_t n);
  void process(const int16_t * mic, const int16_t * ref, int16_t * out, int64_t n);

  /// Does the next hop's share that depends on the past only. Idempotent.
  void prepare();
  void reset() noexcept;

  /// A blob is a header (fingerprint, size, checksum) and the state bytes.
  size_t state_size() const;
  void save(void * blob, size_t size) const;
  void load(const void * blob, size_t size);

  const std::vector<HopGraph::Port> & taps() const { return plan_->taps(); }
  void read_tap(const std::string & name, float * values, int64_t count) const;

  const Engine & engine() const { return engine_; }
  const BlockSet & blocks() const { return *blocks_.blocks; }
  const HopPlan & plan() const { return *plan_; }
  const PlanOptions & options() const { return options_; }
  size_t state_bytes() const { return state_.size(); }

 private:
  template <typename T>
  void process_hop(const T * mic, const T * ref, T * out, int64_t n);

  const Engine & engine_;
  PlanOptions options_;
  std::unique_ptr<HopPlan> plan_;
  NamedBlockSet blocks_;
  State state_;
  uint64_t fingerprint_;
  bool prepared_ = false;

  Session(const Engine & engine, const PlanOptions & options, BuiltPlan built);
};

}  // namespace voxhop
