// Zeroed memory on a cache-line boundary.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

namespace voxhop {

inline constexpr size_t kAlignment = 64;

constexpr size_t align_up(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// Owns `size` zeroed bytes, 64-byte aligned. Throws std::bad_alloc.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t size) : AlignedBuffer(uninitialised(size)) { clear(); }

  /// Without the zeroing: pages that are never written stay out of memory.
  static AlignedBuffer uninitialised(size_t size) {
    AlignedBuffer buffer;
    buffer.data_.reset(static_cast<std::byte *>(
        ::operator new(size == 0 ? kAlignment : size, std::align_val_t{kAlignment})));
    buffer.size_ = size;
    return buffer;
  }

  std::byte * data() noexcept { return data_.get(); }
  const std::byte * data() const noexcept { return data_.get(); }
  size_t size() const noexcept { return size_; }
  void clear() noexcept {
    if (size_ > 0) std::memset(data_.get(), 0, size_);
  }

 private:
  struct Release {
    void operator()(std::byte * p) const noexcept {
      ::operator delete(p, std::align_val_t{kAlignment});
    }
  };
  std::unique_ptr<std::byte, Release> data_;
  size_t size_ = 0;
};

}  // namespace voxhop
