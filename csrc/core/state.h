// One stream's memory: a block of bytes and what lies where in it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/aligned_buffer.h"

namespace voxhop {

struct StateSlot {
  std::string name;
  std::string shape;  // type and dimensions as text; part of the fingerprint
  size_t offset;      // bytes, a multiple of 64
  size_t bytes;
  bool exclusive;  // updated in place by one custom op
};

class StateLayout {
 public:
  /// Appends a slot and returns its offset. Throws if the name is taken.
  size_t add(const std::string & name, const std::string & shape, size_t bytes, bool exclusive);

  const std::vector<StateSlot> & slots() const { return slots_; }
  size_t bytes() const { return bytes_; }

  /// Changes with any slot name, shape, order or size.
  uint64_t fingerprint() const;

 private:
  std::vector<StateSlot> slots_;
  size_t bytes_ = 0;
};

/// All that changes from hop to hop. Zeroed means "before the first hop".
class State {
 public:
  explicit State(const StateLayout & layout) : buffer_(layout.bytes()) {}

  std::byte * data() noexcept { return buffer_.data(); }
  const std::byte * data() const noexcept { return buffer_.data(); }
  size_t size() const noexcept { return buffer_.size(); }
  void reset() noexcept { buffer_.clear(); }

 private:
  AlignedBuffer buffer_;
};

}  // namespace voxhop
