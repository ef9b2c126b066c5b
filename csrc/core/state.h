// One stream's memory: a block of bytes and what lies where in it.
#pragma once

#include <cstdint>
#include <cstring>
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

  /// Appends bytes that prepare() hands to its hop and returns their offset: memory of the
  /// stream, but no part of what it saves.
  size_t add_ahead(size_t bytes);

  const std::vector<StateSlot> & slots() const { return slots_; }
  size_t bytes() const { return bytes_; }
  size_t ahead_bytes() const { return ahead_bytes_; }

  /// Changes with any slot name, shape, order or size.
  uint64_t fingerprint() const;

 private:
  std::vector<StateSlot> slots_;
  size_t bytes_ = 0;
  size_t ahead_bytes_ = 0;
};

/// Lets the slots of one layout continue those of another: equal names, as many bytes as both
/// have. What only the new layout has starts as before the first hop.
class State;
void carry_over(const StateLayout & from, const State & old, const StateLayout & to,
                State & next) noexcept;

/// All that changes from hop to hop. Zeroed means "before the first hop".
class State {
 public:
  explicit State(const StateLayout & layout)
      : buffer_(layout.bytes()), ahead_(layout.ahead_bytes()) {}

  std::byte * data() noexcept { return buffer_.data(); }
  const std::byte * data() const noexcept { return buffer_.data(); }
  size_t size() const noexcept { return buffer_.size(); }

  /// What prepare() computed for the next hop; good while prepared().
  std::byte * ahead() noexcept { return ahead_.data(); }
  bool prepared() const noexcept { return prepared_; }
  void set_prepared(bool prepared) noexcept { prepared_ = prepared; }

  /// All of the stream's memory.
  size_t memory() const noexcept { return buffer_.size() + ahead_.size(); }

  void reset() noexcept {
    buffer_.clear();
    prepared_ = false;
  }
  /// Takes over the bytes of another state of the same layout, size() of them.
  void assign(const std::byte * bytes) noexcept {
    std::memcpy(buffer_.data(), bytes, buffer_.size());
    prepared_ = false;
  }

 private:
  AlignedBuffer buffer_;
  AlignedBuffer ahead_;
  bool prepared_ = false;
};

}  // namespace voxhop
