#include "core/state.h"

#include <algorithm>
#include <cstring>

#include "core/hash.h"
#include "core/status.h"

namespace voxhop {

size_t StateLayout::add(const std::string & name, const std::string & shape, size_t bytes,
                        bool exclusive) {
  for (const StateSlot & slot : slots_) {
    VH_CHECK(slot.name != name, VH_E_INTERNAL, "state slot %s: declared twice", name.c_str());
  }
  const size_t offset = bytes_;
  slots_.push_back({name, shape, offset, bytes, exclusive});
  bytes_ += align_up(bytes);
  return offset;
}

size_t StateLayout::add_ahead(size_t bytes) {
  const size_t offset = ahead_bytes_;
  ahead_bytes_ += align_up(bytes);
  return offset;
}

void carry_over(const StateLayout & from, const State & old, const StateLayout & to,
                State & next) noexcept {
  for (const StateSlot & slot : to.slots()) {
    size_t carried = 0;
    for (const StateSlot & source : from.slots()) {
      if (source.name != slot.name) continue;
      carried = std::min(slot.bytes, source.bytes);
      std::memcpy(next.data() + slot.offset, old.data() + source.offset, carried);
    }
    std::memset(next.data() + slot.offset + carried, 0, slot.bytes - carried);
  }
  next.set_prepared(false);
}

uint64_t StateLayout::fingerprint() const {
  uint64_t h = bytes_;
  for (const StateSlot & slot : slots_) {
    h = hash_text(slot.name, h);
    h = hash_text(slot.shape, h);
    h = hash_bytes(&slot.bytes, sizeof slot.bytes, h);
  }
  return h;
}

}  // namespace voxhop
