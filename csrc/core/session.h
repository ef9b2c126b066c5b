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

/// One of the networks of a file with a state of its own, ready to go on with a stream.
struct Runner {
  Runner(const Engine & engine, const PlanOptions & wanted);
  Runner(const Runner &) = delete;
  Runner & operator=(const Runner &) = delete;

  PlanOptions options;
  BuiltPlan built;
  StateFormat format;
  State state;
};

/// Belongs to one thread at a time. The engine must outlive it.
class Session {
 public:
  Session(const Engine & engine, const PlanOptions & options)
      : engine_(engine), now_(std::make_unique<Runner>(engine, options)) {}

  /// One hop of a model that takes audio (and perhaps a second audio input, the reference) and
  /// gives audio: `n` samples each. `ref` may be null; `out` may alias inputs.
  void process(const void * mic, const void * ref, void * out, int64_t n, SampleType samples);
  /// One hop of any model: an array per port, in the order of info(); null where nothing was
  /// given, which for a port that is not optional means that a packet was lost.
  void process(const void * const * inputs, void * const * outputs, SampleType samples) {
    run_hop(*now_->built.plan, now_->state, inputs, outputs, samples);
  }

  /// One hop that nobody hears: what remembers without end takes note of it, all else stays as it
  /// was. See ModelInfo::warm_up_hops.
  void skim(const void * const * inputs, SampleType samples) {
    skim_hop(*now_->built.plan, now_->state, inputs, samples);
  }

  /// Does the next hop's share that depends on the past only. Idempotent.
  void prepare() { now_->built.plan->prepare(); }

  /// The network that other values of options that may change while running ask for; for
  /// switch_to(). Builds and allocates: not for the thread that has a deadline, but hops may
  /// run meanwhile. Throws VH_E_ARGUMENT for other options.
  std::unique_ptr<Runner> build(const OptionValues & values) const;
  /// Goes on with `other` from the next hop on, and leaves what ran so far in its place. What
  /// the two share of the past goes on; the rest starts as before the first hop. Allocates
  /// nothing. `other` was built by this session or another of the same model.
  void switch_to(std::unique_ptr<Runner> & other) noexcept;
  /// Both at once. On an error nothing has changed.
  void set_options(const OptionValues & values) {
    std::unique_ptr<Runner> other = build(values);
    switch_to(other);
  }

  void reset() noexcept { now_->state.reset(); }
  void set_comfort_noise(bool on) noexcept {
    comfort_noise_ = on;
    now_->built.plan->set_comfort_noise(on);
  }

  size_t state_size() const { return now_->format.size(); }
  void save(void * blob, size_t size) const { now_->format.save(now_->state, blob, size); }
  void load(const void * blob, size_t size) { now_->format.load(now_->state, blob, size); }

  const std::vector<HopGraph::Tap> & taps() const { return now_->built.plan->taps(); }
  void read_tap(const std::string & name, float * values, int64_t count) const;

  /// Of the network that the options chose.
  const ModelInfo & info() const { return now_->built.variant->info; }
  const Engine & engine() const { return engine_; }
  const BlockSet & blocks() const { return *now_->built.blocks.blocks; }
  const HopPlan & plan() const { return *now_->built.plan; }
  int n_threads() const { return now_->options.n_threads; }
  /// Of the stream, what prepare() keeps included.
  size_t state_bytes() const { return now_->state.memory(); }

 private:
  const Engine & engine_;
  std::unique_ptr<Runner> now_;
  bool comfort_noise_ = true;
};

}  // namespace voxhop
