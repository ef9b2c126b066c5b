// One stream: its state, and the plan that advances it hop by hop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/engine.h"
#include "core/run_hop.h"
#include "core/state.h"
#include "core/state_format.h"

namespace voxhop {

/// Belongs to one thread at a time. The engine must outlive it.
class Session {
 public:
  Session(const Engine & engine, const PlanOptions & options);

  /// One hop of a model that takes audio (and perhaps a second audio input, the reference) and
  /// gives audio: `n` samples each. `ref` may be null; `out` may alias inputs.
  void process(const void * mic, const void * ref, void * out, int64_t n, SampleType samples);
  /// One hop of any model: an array per port, in the order of info(); null where nothing was
  /// given, which for a port that is not optional means that a packet was lost.
  void process(const void * const * inputs, void * const * outputs, SampleType samples) {
    run_hop(*built_.plan, state_, inputs, outputs, samples);
  }

  /// Does the next hop's share that depends on the past only. Idempotent.
  void prepare() { built_.plan->prepare(); }
  /// Gives model options that may change while running another value, from the next hop on;
  /// what the two networks share of the past goes on. Builds and allocates: not for the
  /// thread that has a deadline. On an error nothing has changed.
  void set_options(const OptionValues & values);

  void reset() noexcept { state_.reset(); }
  void set_comfort_noise(bool on) noexcept { built_.plan->set_comfort_noise(on); }

  size_t state_size() const { return format_.size(); }
  void save(void * blob, size_t size) const { format_.save(state_, blob, size); }
  void load(const void * blob, size_t size) { format_.load(state_, blob, size); }

  const std::vector<HopGraph::Tap> & taps() const { return built_.plan->taps(); }
  void read_tap(const std::string & name, float * values, int64_t count) const;

  /// Of the network that the options chose.
  const ModelInfo & info() const { return built_.variant->info; }
  const Engine & engine() const { return engine_; }
  const BlockSet & blocks() const { return *built_.blocks.blocks; }
  const HopPlan & plan() const { return *built_.plan; }
  int n_threads() const { return options_.n_threads; }
  /// Of the stream, what prepare() keeps included.
  size_t state_bytes() const { return state_.memory(); }

 private:
  const Engine & engine_;
  PlanOptions options_;
  BuiltPlan built_;
  StateFormat format_;
  State state_;
};

}  // namespace voxhop
