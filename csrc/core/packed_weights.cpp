#include "core/packed_weights.h"

#include <algorithm>

#include "core/aligned_buffer.h"
#include "core/status.h"

namespace voxhop {

std::byte * PackedWeights::allocate(size_t bytes) {
  const size_t padded = align_up(std::max<size_t>(bytes, 1));
  if (chunks_.empty() || chunks_.back().size() - chunk_used_ < padded) {
    chunks_.emplace_back(std::max(padded, align_up(chunk_bytes_)));
    // A hop reads megabytes of weights once: in pages of 4 kB every one of them may cost a walk of
    // the page tables, which other programs have pushed out of the cache, a fifth of the time at
    // the pace of an application.
    chunks_.back().in_large_pages();
    chunk_used_ = 0;
  }
  std::byte * data = chunks_.back().data() + chunk_used_;
  chunk_used_ += padded;
  used_bytes_ += padded;
  return data;
}

const void * PackedWeights::get(const std::string & key, size_t bytes,
                                const std::function<void(void *)> & fill) {
  if (const auto found = entries_.find(key); found != entries_.end()) {
    VH_CHECK(found->second.bytes == bytes, VH_E_INTERNAL,
             "packed weights %s: %zu bytes, expected %zu", key.c_str(), bytes, found->second.bytes);
    return found->second.data;
  }
  std::byte * data = allocate(bytes);
  fill(data);
  filled_();
  entries_.emplace(key, Entry{data, bytes});
  return data;
}

const float * PackedWeights::floats(const std::string & key, size_t count,
                                    const std::function<void(float *)> & fill) {
  return static_cast<const float *>(
      get(key, count * sizeof(float), [&](void * data) { fill(static_cast<float *>(data)); }));
}

}  // namespace voxhop
