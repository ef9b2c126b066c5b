// Where each intermediate tensor of a graph lies in one block of scratch memory.
#pragma once

#include <ggml.h>

#include <cstddef>
#include <unordered_map>
#include <vector>

namespace voxhop {

/// Offsets (64-byte aligned) for every computed tensor of `graph` that owns memory.
/// Tensors whose lives do not overlap share bytes; an element-wise op takes over its
/// source's bytes when it is the last reader. `kept` and the leaves in `ports` live to
/// the end. ggml's own allocator would do, but it asserts when memory runs out.
struct ArenaPlan {
  std::unordered_map<ggml_tensor *, size_t> offsets;
  size_t bytes = 0;
};

ArenaPlan plan_arena(ggml_cgraph * graph, const std::vector<ggml_tensor *> & kept,
                     const std::vector<ggml_tensor *> & ports);

}  // namespace voxhop
