// A hop's graph placed in memory and ready to run for any stream.
#pragma once

#include <ggml-cpu.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/hop_builder.h"
#include "core/share_policy.h"
#include "core/worker_pool.h"

namespace voxhop {

/// Owns the graph, its scratch memory, ggml's work buffer and thread pool. bind() points
/// it at a stream; one plan can serve many streams in turn, one at a time.
class HopPlan {
 public:
  HopPlan(HopGraph graph, int n_threads, bool flushes_denormals);
  ~HopPlan();
  HopPlan(const HopPlan &) = delete;
  HopPlan & operator=(const HopPlan &) = delete;

  const StateLayout & layout() const { return graph_.layout; }

  /// Re-points every slot; `state` must have this plan's layout and outlive its use.
  /// Allocates nothing.
  void bind(State & state) noexcept;

  void set_comfort_noise(bool on) noexcept { graph_.context->comfort_noise = on; }

  bool has_prepare() const { return graph_.prepare != nullptr; }
  /// Computes what the bound stream's next hop needs from the past, unless that was done;
  /// its state is read, never written.
  void prepare();
  /// To be called as soon as a hop is known to come: other threads take a while to wake.
  void call_workers();
  /// Runs one hop on the bound stream, prepare() included.
  void run();
  /// Runs of a hop what HopBuilder::skims() asked for, perhaps nothing: the rest stays as it was.
  void skim();

  const std::vector<HopGraph::Port> & inputs() const { return graph_.inputs; }
  const std::vector<HopGraph::Port> & outputs() const { return graph_.outputs; }
  const std::vector<HopGraph::Tap> & taps() const { return graph_.taps; }
  /// Which inputs the caller gave; see HopContext::given.
  void set_given(uint64_t inputs) noexcept { graph_.context->given = inputs; }

  int node_count() const;
  size_t scratch_bytes() const;

 private:
  struct Rebind {
    void ** data;
    size_t offset;
  };
  struct ThreadPoolRelease {
    void operator()(ggml_threadpool * pool) const noexcept { ggml_threadpool_free(pool); }
  };

  /// One of the three graphs. A graph of custom ops only is run by walking `custom`:
  /// ggml's own entry takes a process-wide lock and a mutex per call.
  struct Program {
    ggml_cgraph * graph = nullptr;
    ggml_cplan plan{};
    std::vector<CustomNode *> custom;
    bool only_custom = false;
  };
  void place();
  Program make_program(ggml_cgraph * graph, int n_threads);
  void run_program(Program & program);

  HopGraph graph_;
  bool flushes_;  // denormal numbers are zeros during a hop
  State * bound_ = nullptr;
  AlignedBuffer scratch_;
  AlignedBuffer work_;
  AlignedBuffer shared_;
  std::unique_ptr<WorkerPool> workers_;  // null with one thread
  SharePolicy share_policy_;
  std::unique_ptr<ggml_threadpool, ThreadPoolRelease> pool_;
  std::vector<Rebind> rebinds_;
  Program hop_;
  Program prepare_;
  Program skim_;
};

}  // namespace voxhop
