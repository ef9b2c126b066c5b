// Memory by pages, past the allocator.
#pragma once

#include <cstddef>
#include <memory>

namespace voxhop {

/// Owns `size` zeroed bytes at the start of a page. Pages that are never written take no memory,
/// and all of it goes back to the system at the end: an allocator would keep megabytes that were
/// needed for a moment. Throws std::bad_alloc.
class PageBuffer {
 public:
  PageBuffer() = default;
  explicit PageBuffer(size_t size);

  std::byte * data() noexcept { return data_.get(); }
  const std::byte * data() const noexcept { return data_.get(); }
  size_t size() const noexcept { return data_.get_deleter().size; }

  /// Asks for pages of megabytes for what has not been written yet, whole ones inside the buffer;
  /// one of which a byte is written is taken whole. Where there are none, small pages do as well.
  void in_large_pages() noexcept;

 private:
  struct Release {
    size_t size;
    void operator()(std::byte * p) const noexcept;
  };
  std::unique_ptr<std::byte, Release> data_;
};

}  // namespace voxhop
