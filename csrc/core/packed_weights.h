// Weights in the layout that one kernel set wants, shared by its sessions.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/page_buffer.h"

namespace voxhop {

/// Append-only arena of named arrays. The first graph built with a kernel set fills
/// it in execution order; every later session finds its arrays there. Addresses never
/// change. The engine holds a lock while a graph is built, so get() needs none, and
/// running sessions only read.
class PackedWeights {
 public:
  /// `chunk_bytes`: size of one allocation; the model's own weight bytes is a good value.
  /// `filled` is called after each array.
  PackedWeights(size_t chunk_bytes, std::function<void()> filled)
      : chunk_bytes_(chunk_bytes), filled_(std::move(filled)) {}

  /// The array `key` of `bytes` bytes, 64-byte aligned; `fill` writes it (it starts
  /// zeroed) the first time. A key must always ask for the same size.
  const void * get(const std::string & key, size_t bytes, const std::function<void(void *)> & fill);

  /// The same for `count` floats.
  const float * floats(const std::string & key, size_t count,
                       const std::function<void(float *)> & fill);

  size_t bytes() const { return used_bytes_; }
  /// Behind the array written last; what was written together with it lies before.
  const std::byte * end() const {
    return chunks_.empty() ? nullptr : chunks_.back().data() + chunk_used_;
  }

 private:
  struct Entry {
    const void * data;
    size_t bytes;
  };
  std::byte * allocate(size_t bytes);

  size_t chunk_bytes_;
  std::function<void()> filled_;
  size_t chunk_used_ = 0;
  size_t used_bytes_ = 0;
  std::vector<PageBuffer> chunks_;
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace voxhop
