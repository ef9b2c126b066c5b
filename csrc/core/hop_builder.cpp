#include "core/hop_builder.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <unordered_set>

#include "core/model.h"
#include "core/status.h"

namespace voxhop {
namespace {

// Room for a graph's records. Models here need 800 to 5000; the memory is only touched
// where it is used.
constexpr size_t kMaxTensors = 16384;
constexpr size_t kGraphs = 3;  // hop, prepare, skim
// Records that one block may create between two checks in ggml().
constexpr size_t kReserve = 64;

size_t graph_bytes() {
  return ggml_graph_overhead_custom(kMaxTensors, false);
}

size_t meta_bytes() {
  return kMaxTensors * ggml_tensor_overhead() + kGraphs * graph_bytes() + 4096;
}

ggml_tensor * new_tensor(ggml_context * context, std::initializer_list<int64_t> ne) {
  return ggml_new_tensor(context, GGML_TYPE_F32, static_cast<int>(ne.size()), ne.begin());
}

const ggml_tensor * storage(const ggml_tensor * tensor) {
  return tensor->view_src != nullptr ? tensor->view_src : tensor;
}

bool only_looks(ggml_op op) {
  return op == GGML_OP_NONE || op == GGML_OP_RESHAPE || op == GGML_OP_VIEW ||
         op == GGML_OP_PERMUTE || op == GGML_OP_TRANSPOSE;
}

void run_custom(ggml_tensor * dst, int ith, int /*nth*/, void * userdata) {
  if (ith != 0) return;  // ggml calls every thread, whatever n_tasks says
  auto * node = static_cast<CustomNode *>(userdata);
  node->op->run(*node->context, dst);
}

}  // namespace

HopBuilder::HopBuilder(PackedWeights & weights, bool history_first)
    : weights_(weights), history_first_(history_first) {
  graph_.meta = AlignedBuffer::uninitialised(meta_bytes());
  graph_.ggml.reset(ggml_init({graph_.meta.size(), graph_.meta.data(), /*no_alloc=*/true}));
  VH_CHECK(graph_.ggml != nullptr, VH_E_MEMORY, "graph: out of memory");
  graph_.context = std::make_unique<HopContext>();
}

HopBuilder::~HopBuilder() = default;

ggml_context * HopBuilder::ggml() const {
  const size_t needed = kReserve * ggml_tensor_overhead() + kGraphs * graph_bytes();
  VH_CHECK(ggml_used_mem(graph_.ggml.get()) + needed <= graph_.meta.size(), VH_E_INTERNAL,
           "graph: more than %zu tensors", kMaxTensors - kReserve);
  return graph_.ggml.get();
}

HopBuilder::Scope::Scope(HopBuilder & b, const std::string & name)
    : b_(b), length_(b.prefix_.size()) {
  b_.prefix_ += name + ".";
}

HopBuilder::Scope::~Scope() {
  b_.prefix_.resize(length_);
}

std::string HopBuilder::scoped(const std::string & name) const {
  return prefix_ + name;
}

ggml_tensor * HopBuilder::input(const std::string & name, int64_t count) {
  return input(name, PortType::kAudio, count);
}

ggml_tensor * HopBuilder::input(const std::string & name, PortType type, int64_t count) {
  ggml_tensor * port =
      ggml_new_tensor_1d(ggml(), type == PortType::kCodes ? GGML_TYPE_I32 : GGML_TYPE_F32, count);
  graph_.inputs.push_back({scoped(name), type, port});
  return port;
}

void HopBuilder::output(const std::string & name, ggml_tensor * value) {
  VH_CHECK(ggml_is_contiguous(value), VH_E_INTERNAL, "output %s: not contiguous", name.c_str());
  VH_CHECK(value->type == GGML_TYPE_F32 || value->type == GGML_TYPE_I32, VH_E_INTERNAL,
           "output %s: %s, expected f32 or i32", name.c_str(), ggml_type_name(value->type));
  const PortType type = value->type == GGML_TYPE_I32 ? PortType::kCodes : PortType::kAudio;
  graph_.outputs.push_back({scoped(name), type, value});
  graph_.kept.push_back(value);
}

void HopBuilder::tap(const std::string & name, ggml_tensor * value) {
  VH_CHECK(ggml_is_contiguous(value), VH_E_INTERNAL, "tap %s: not contiguous", name.c_str());
  graph_.taps.push_back({scoped(name), value});
  graph_.kept.push_back(value);
  side_roots_.push_back(value);
}

ggml_tensor * HopBuilder::constant(const float * data, std::initializer_list<int64_t> ne) {
  ggml_tensor * leaf = new_tensor(ggml(), ne);
  leaf->data = const_cast<float *>(data);  // ggml has no const tensors; finish() checks
  return leaf;
}

Slot HopBuilder::state(const std::string & name, std::initializer_list<int64_t> ne) {
  const int64_t count = std::accumulate(ne.begin(), ne.end(), int64_t{1}, std::multiplies<>());
  std::string shape = "f32";
  for (const int64_t n : ne) {
    shape += " " + std::to_string(n);
  }
  const std::string full = scoped(name);
  const size_t offset =
      graph_.layout.add(full, shape, static_cast<size_t>(count) * sizeof(float), false);
  Slot slot{slots_.size(), nullptr};
  if (count > 0) {
    slot.value = new_tensor(ggml(), ne);
    graph_.slots.push_back({slot.value, offset});
  }
  slots_.push_back({full, slot.value, nullptr, count});
  return slot;
}

void HopBuilder::next(const Slot & slot, ggml_tensor * value) {
  PendingSlot & pending = slots_.at(slot.index);
  VH_CHECK(pending.next == nullptr, VH_E_INTERNAL, "state %s: two values for the next hop",
           pending.name.c_str());
  VH_CHECK(value != nullptr && ggml_nelements(value) == pending.count, VH_E_INTERNAL,
           "state %s: %lld elements for the next hop, expected %lld", pending.name.c_str(),
           static_cast<long long>(value != nullptr ? ggml_nelements(value) : 0),
           static_cast<long long>(pending.count));
  pending.next = value;
}

ExclusiveSlot HopBuilder::exclusive(const std::string & name, size_t bytes) {
  const std::string shape = "bytes " + std::to_string(bytes);
  return {graph_.layout.add(scoped(name), shape, bytes, true), bytes};
}

void HopBuilder::shared_scratch(size_t bytes) {
  graph_.shared_scratch_bytes = std::max(graph_.shared_scratch_bytes, bytes);
}

std::byte * HopBuilder::scratch(size_t bytes) {
  graph_.scratch.emplace_back(bytes);
  return graph_.scratch.back().data();
}

AheadSlot HopBuilder::ahead(size_t bytes) {
  return {graph_.layout.add_ahead(bytes)};
}

ggml_tensor * HopBuilder::custom(std::unique_ptr<CustomOp> op, std::initializer_list<int64_t> ne,
                                 std::initializer_list<ggml_tensor *> args, ggml_type type) {
  VH_CHECK(ne.size() <= GGML_MAX_DIMS && args.size() < GGML_MAX_SRC, VH_E_INTERNAL,
           "custom op: %zu dimensions and %zu arguments", ne.size(), args.size());
  int64_t dims[GGML_MAX_DIMS] = {1, 1, 1, 1};
  std::copy(ne.begin(), ne.end(), dims);
  std::vector<ggml_tensor *> sources(args);
  auto node = std::make_unique<CustomNode>();
  node->op = std::move(op);
  node->context = graph_.context.get();
  node->tensor = ggml_custom_4d(ggml(), type, dims[0], dims[1], dims[2], dims[3], sources.data(),
                                static_cast<int>(sources.size()), run_custom,
                                /*n_tasks=*/1, node.get());
  graph_.custom.push_back(std::move(node));
  return graph_.custom.back()->tensor;
}

void HopBuilder::also_run(ggml_tensor * node) {
  side_roots_.push_back(node);
}

void HopBuilder::run_ahead(ggml_tensor * node) {
  VH_CHECK(history_first_, VH_E_INTERNAL, "run_ahead without history_first");
  if (graph_.prepare == nullptr) {
    graph_.prepare = ggml_new_graph_custom(graph_.ggml.get(), kMaxTensors, false);
  }
  ggml_build_forward_expand(graph_.prepare, node);
}

void HopBuilder::skims(ggml_tensor * node) {
  skim_roots_.push_back(node);
}

void HopBuilder::check_next_values() const {
  for (const PendingSlot & slot : slots_) {
    VH_CHECK(slot.count == 0 || slot.next != nullptr, VH_E_INTERNAL,
             "state %s: no value for the next hop", slot.name.c_str());
  }
}

void HopBuilder::pick_skimmed(const std::vector<ggml_tensor *> & copies) {
  std::unordered_set<const ggml_tensor *> picked;
  std::vector<const ggml_tensor *> open(skim_roots_.begin(), skim_roots_.end());
  const auto follow = [&] {
    while (!open.empty()) {
      const ggml_tensor * tensor = open.back();
      open.pop_back();
      if (tensor == nullptr || !picked.insert(tensor).second) continue;
      open.push_back(tensor->view_src);
      open.insert(open.end(), std::begin(tensor->src), std::end(tensor->src));
    }
  };
  follow();
  // A slot that is read has to be carried on, which may read others.
  for (bool grew = true; grew;) {
    grew = false;
    for (size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].count == 0 || picked.count(slots_[i].value) == 0) continue;
      if (picked.count(copies[i]) > 0) continue;
      open.push_back(copies[i]);
      follow();
      grew = true;
    }
  }
  graph_.skim = ggml_new_graph_custom(graph_.ggml.get(), kMaxTensors, false);
  for (int i = 0; i < ggml_graph_n_nodes(graph_.hop); ++i) {
    ggml_tensor * node = ggml_graph_node(graph_.hop, i);
    if (picked.count(node) > 0) ggml_build_forward_expand(graph_.skim, node);
  }
}

HopGraph HopBuilder::finish() {
  graph_.context->weights.end = weights_.end();
  check_next_values();
  const auto is_slot = [&](const ggml_tensor * tensor) {
    return std::any_of(slots_.begin(), slots_.end(),
                       [&](const PendingSlot & slot) { return slot.value == tensor; });
  };
  graph_.hop = ggml_new_graph_custom(graph_.ggml.get(), kMaxTensors, false);
  for (const HopGraph::Port & port : graph_.outputs) {
    ggml_build_forward_expand(graph_.hop, port.tensor);
  }
  for (ggml_tensor * root : side_roots_) {
    ggml_build_forward_expand(graph_.hop, root);
  }
  for (PendingSlot & slot : slots_) {
    if (slot.count == 0) continue;
    // A value that is still inside a slot could be overwritten before it is copied.
    if (is_slot(storage(slot.next))) slot.next = ggml_cont(ggml(), slot.next);
    ggml_build_forward_expand(graph_.hop, slot.next);
  }
  // ggml ops that work in place (clamp) must not reach state, constants or inputs.
  for (int i = 0; i < ggml_graph_n_nodes(graph_.hop); ++i) {
    const ggml_tensor * node = ggml_graph_node(graph_.hop, i);
    VH_CHECK(
        only_looks(node->op) || node->view_src == nullptr || node->view_src->op != GGML_OP_NONE,
        VH_E_INTERNAL, "graph: %s writes into state, a constant or an input",
        ggml_op_name(node->op));
  }
  std::vector<ggml_tensor *> copies;
  for (const PendingSlot & slot : slots_) {
    copies.push_back(nullptr);
    if (slot.count == 0) continue;
    ggml_tensor * value = slot.next;
    if (ggml_is_contiguous(value)) value = ggml_reshape(ggml(), value, slot.value);
    copies.back() = ggml_cpy(ggml(), value, slot.value);
    ggml_build_forward_expand(graph_.hop, copies.back());
  }
  if (!skim_roots_.empty()) pick_skimmed(copies);
  return std::move(graph_);
}

}  // namespace voxhop
