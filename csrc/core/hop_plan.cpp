#include "core/hop_plan.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/arena_plan.h"
#include "core/flush_denormals.h"
#include "core/status.h"

namespace voxhop {
namespace {

std::byte * at(AlignedBuffer & buffer, size_t offset) {
  return buffer.data() + offset;
}

// ggml ends the process when it cannot start a thread, so the same number is tried first.
void probe_threads(int count) {
  std::vector<std::thread> threads;
  try {
    for (int i = 1; i < count; ++i) {
      threads.emplace_back([] {});
    }
  } catch (const std::system_error & e) {
    for (std::thread & thread : threads) {
      thread.join();
    }
    fail(VH_E_MEMORY, "n_threads %d: %s", count, e.what());
  }
  for (std::thread & thread : threads) {
    thread.join();
  }
}

}  // namespace

HopPlan::HopPlan(HopGraph graph, int n_threads, bool flushes_denormals)
    : graph_(std::move(graph)), flushes_(flushes_denormals) {
  place();
  graph_.context->scratch_step = align_up(graph_.shared_scratch_bytes);
  shared_ = AlignedBuffer(graph_.context->scratch_step * static_cast<size_t>(n_threads));
  graph_.context->scratch = shared_.data();
  hop_ = make_program(graph_.hop, n_threads);
  if (graph_.prepare != nullptr) prepare_ = make_program(graph_.prepare, n_threads);
  if (graph_.skim != nullptr) skim_ = make_program(graph_.skim, n_threads);
  work_ = AlignedBuffer::uninitialised(std::max(hop_.plan.work_size, prepare_.plan.work_size));
  hop_.plan.work_data = reinterpret_cast<uint8_t *>(work_.data());
  prepare_.plan.work_data = skim_.plan.work_data = hop_.plan.work_data;
  if (n_threads > 1 && hop_.only_custom) {  // beside ggml's own threads they would only idle
    workers_ = std::make_unique<WorkerPool>(n_threads, flushes_);
  }
  if (!hop_.only_custom || (prepare_.graph != nullptr && !prepare_.only_custom)) {
    probe_threads(n_threads);
    const FlushDenormals flush(
        flushes_);  // ggml's threads begin with the mode of the one that makes them
    ggml_threadpool_params params = ggml_threadpool_params_default(n_threads);
    pool_.reset(ggml_threadpool_new(&params));
    VH_CHECK(pool_ != nullptr, VH_E_MEMORY, "thread pool of %d: out of memory", n_threads);
    hop_.plan.threadpool = pool_.get();
    prepare_.plan.threadpool = skim_.plan.threadpool = pool_.get();
  }
}

HopPlan::~HopPlan() = default;

void HopPlan::place() {
  std::vector<ggml_tensor *> ports;
  for (const HopGraph::Port & port : graph_.inputs) {
    ports.push_back(port.tensor);
  }
  // The two graphs run at different times and hand over through HopBuilder::ahead only,
  // so they share the memory; the ports come first in both, at the same offsets.
  ArenaPlan hop = plan_arena(graph_.hop, graph_.kept, ports);
  ArenaPlan prepare;
  if (graph_.prepare != nullptr) prepare = plan_arena(graph_.prepare, {}, ports);
  for (const auto & entry : prepare.offsets) {
    VH_CHECK(entry.first->op == GGML_OP_NONE || hop.offsets.count(entry.first) == 0, VH_E_INTERNAL,
             "graph: %s runs both ahead and in the hop", entry.first->name);
  }
  scratch_ = AlignedBuffer(std::max(hop.bytes, prepare.bytes));
  for (const ArenaPlan * plan : {&prepare, &hop}) {
    for (const auto & [tensor, offset] : plan->offsets) {
      tensor->data = at(scratch_, offset);
    }
  }
  std::unordered_map<const ggml_tensor *, size_t> slots;
  for (const HopGraph::SlotUse & slot : graph_.slots) {
    slots.emplace(slot.tensor, slot.state_offset);
    rebinds_.push_back({&slot.tensor->data, slot.state_offset});
  }
  for (ggml_tensor * tensor = ggml_get_first_tensor(graph_.ggml.get()); tensor != nullptr;
       tensor = ggml_get_next_tensor(graph_.ggml.get(), tensor)) {
    if (tensor->view_src == nullptr) continue;
    if (const auto slot = slots.find(tensor->view_src); slot != slots.end()) {
      rebinds_.push_back({&tensor->data, slot->second + tensor->view_offs});
    } else if (tensor->view_src->data != nullptr) {
      tensor->data = static_cast<std::byte *>(tensor->view_src->data) + tensor->view_offs;
    }
  }
}

HopPlan::Program HopPlan::make_program(ggml_cgraph * graph, int n_threads) {
  Program program;
  program.graph = graph;
  program.plan = ggml_graph_plan(graph, n_threads, nullptr);
  program.only_custom = true;
  std::unordered_map<const ggml_tensor *, CustomNode *> custom;
  for (const auto & node : graph_.custom) {
    custom.emplace(node->tensor, node.get());
  }
  for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
    const ggml_tensor * node = ggml_graph_node(graph, i);
    if (const auto found = custom.find(node); found != custom.end()) {
      program.custom.push_back(found->second);
    } else if (node->op != GGML_OP_NONE && node->op != GGML_OP_RESHAPE &&
               node->op != GGML_OP_VIEW && node->op != GGML_OP_PERMUTE &&
               node->op != GGML_OP_TRANSPOSE) {
      program.only_custom = false;
    }
  }
  return program;
}

void HopPlan::bind(State & state) noexcept {
  if (bound_ == &state) return;
  bound_ = &state;
  graph_.context->state = state.data();
  graph_.context->ahead = state.ahead();
  graph_.context->past.end = state.data() + layout().bytes();
  for (const Rebind & rebind : rebinds_) {
    *rebind.data = state.data() + rebind.offset;
  }
}

void HopPlan::run_program(Program & program) {
  if (program.only_custom) {
    for (CustomNode * node : program.custom) {
      node->op->run(*node->context, node->tensor);
    }
    return;
  }
  const ggml_status status = ggml_graph_compute(program.graph, &program.plan);
  VH_CHECK(status == GGML_STATUS_SUCCESS, VH_E_INTERNAL, "ggml: %s", ggml_status_to_string(status));
}

void HopPlan::call_workers() {
  if (workers_ == nullptr) return;
  // The same decision holds for the next prepare().
  const bool shares = share_policy_.share();
  graph_.context->workers = shares ? workers_.get() : nullptr;
  if (shares) workers_->wake();
}

void HopPlan::prepare() {
  if (!has_prepare() || bound_->prepared()) return;
  const FlushDenormals flush(flushes_);
  run_program(prepare_);
  bound_->set_prepared(true);
}

void HopPlan::run() {
  const FlushDenormals flush(flushes_);
  graph_.context->weights.asked = graph_.context->past.asked = nullptr;
  prepare();
  bound_->set_prepared(false);
  if (workers_ == nullptr) {
    run_program(hop_);
    return;
  }
  const auto start = std::chrono::steady_clock::now();
  run_program(hop_);
  share_policy_.took(std::chrono::steady_clock::now() - start);
}

void HopPlan::skim() {
  if (skim_.graph == nullptr) return;
  const FlushDenormals flush(flushes_);
  graph_.context->weights.asked = graph_.context->past.asked = nullptr;
  bound_->set_prepared(false);
  run_program(skim_);
}

int HopPlan::node_count() const {
  return ggml_graph_n_nodes(graph_.hop) + (has_prepare() ? ggml_graph_n_nodes(graph_.prepare) : 0);
}

size_t HopPlan::scratch_bytes() const {
  size_t bytes = scratch_.size() + work_.size() + shared_.size();
  for (const AlignedBuffer & buffer : graph_.scratch) {
    bytes += buffer.size();
  }
  return bytes;
}

}  // namespace voxhop
