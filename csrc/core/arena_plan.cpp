#include "core/arena_plan.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "core/aligned_buffer.h"

namespace voxhop {
namespace {

ggml_tensor * storage(ggml_tensor * tensor) {
  return tensor->view_src != nullptr ? tensor->view_src : tensor;
}

bool elementwise(ggml_op op) {
  switch (op) {
    case GGML_OP_ADD:
    case GGML_OP_SUB:
    case GGML_OP_MUL:
    case GGML_OP_DIV:
    case GGML_OP_SQR:
    case GGML_OP_SQRT:
    case GGML_OP_LOG:
    case GGML_OP_SCALE:
    case GGML_OP_UNARY:
      return true;
    default:
      return false;
  }
}

/// Free ranges by offset; neighbours merge. First fit.
class FreeList {
 public:
  size_t take(size_t bytes) {
    for (auto range = ranges_.begin(); range != ranges_.end(); ++range) {
      if (range->second < bytes) continue;
      const size_t offset = range->first;
      const size_t left = range->second - bytes;
      ranges_.erase(range);
      if (left > 0) ranges_.emplace(offset + bytes, left);
      return offset;
    }
    // Grow at the end, using a free range that touches it.
    size_t offset = end_;
    if (!ranges_.empty()) {
      const auto last = std::prev(ranges_.end());
      if (last->first + last->second == end_) {
        offset = last->first;
        ranges_.erase(last);
      }
    }
    end_ = offset + bytes;
    return offset;
  }

  void give(size_t offset, size_t bytes) {
    auto [range, added] = ranges_.emplace(offset, bytes);
    const auto after = std::next(range);
    if (after != ranges_.end() && range->first + range->second == after->first) {
      range->second += after->second;
      ranges_.erase(after);
    }
    if (range != ranges_.begin()) {
      const auto before = std::prev(range);
      if (before->first + before->second == range->first) {
        before->second += range->second;
        ranges_.erase(range);
      }
    }
  }

  size_t end() const { return end_; }

 private:
  std::map<size_t, size_t> ranges_;
  size_t end_ = 0;
};

class Planner {
 public:
  Planner(ggml_cgraph * graph, const std::vector<ggml_tensor *> & kept) : graph_(graph) {
    const int n = ggml_graph_n_nodes(graph);
    for (int i = 0; i < n; ++i) {
      ggml_tensor * node = ggml_graph_node(graph, i);
      last_use_[storage(node)] = i;
      for (ggml_tensor * source : node->src) {
        if (source != nullptr) last_use_[storage(source)] = i;
      }
    }
    for (ggml_tensor * tensor : kept) {
      last_use_[storage(tensor)] = std::numeric_limits<int>::max();
    }
  }

  void place_port(ggml_tensor * port) { plan_.offsets[port] = free_.take(size_of(port)); }

  ArenaPlan run() {
    const int n = ggml_graph_n_nodes(graph_);
    for (int i = 0; i < n; ++i) {
      ggml_tensor * node = ggml_graph_node(graph_, i);
      if (node->view_src == nullptr && node->data == nullptr) place(node, i);
      release_sources(node, i);
    }
    plan_.bytes = free_.end();
    return std::move(plan_);
  }

 private:
  static size_t size_of(const ggml_tensor * tensor) { return align_up(ggml_nbytes(tensor)); }

  void place(ggml_tensor * node, int i) {
    if (elementwise(node->op)) {
      for (int s = 0; s < 2; ++s) {
        ggml_tensor * source = node->src[s];
        if (source == nullptr || !can_take_over(node, source, i)) continue;
        ggml_tensor * owner = storage(source);
        plan_.offsets[node] = plan_.offsets.at(owner);
        gone_.insert(owner);
        return;
      }
    }
    plan_.offsets[node] = free_.take(size_of(node));
  }

  bool can_take_over(const ggml_tensor * node, ggml_tensor * source, int i) const {
    ggml_tensor * owner = storage(source);
    return owner->op != GGML_OP_NONE && plan_.offsets.count(owner) != 0 &&
           gone_.count(owner) == 0 && last_use_.at(owner) == i && source->view_offs == 0 &&
           ggml_are_same_shape(node, source) && ggml_are_same_stride(node, source) &&
           ggml_nbytes(owner) == ggml_nbytes(node);
  }

  void release_sources(ggml_tensor * node, int i) {
    release(node, i);
    for (ggml_tensor * source : node->src) {
      if (source != nullptr) release(source, i);
    }
  }

  void release(ggml_tensor * tensor, int i) {
    ggml_tensor * owner = storage(tensor);
    if (owner->op == GGML_OP_NONE || plan_.offsets.count(owner) == 0 || last_use_.at(owner) != i ||
        !gone_.insert(owner).second) {
      return;
    }
    free_.give(plan_.offsets.at(owner), size_of(owner));
  }

  ggml_cgraph * graph_;
  std::unordered_map<ggml_tensor *, int> last_use_;
  std::set<ggml_tensor *> gone_;  // freed, or bytes taken over by a later node
  FreeList free_;
  ArenaPlan plan_;
};

}  // namespace

ArenaPlan plan_arena(ggml_cgraph * graph, const std::vector<ggml_tensor *> & kept,
                     const std::vector<ggml_tensor *> & ports) {
  Planner planner(graph, kept);
  for (ggml_tensor * port : ports) {
    planner.place_port(port);
  }
  return planner.run();
}

}  // namespace voxhop
