// What an object remembers as bytes: each object lists its parts once, for both ways.
#pragma once

#include <cstddef>
#include <cstring>
#include <type_traits>
#include <vector>

namespace voxhop {

/// Counts (and leaves alone), writes or reads the bytes of the parts that it is shown. The owner
/// checks sizes: the buffer has as many bytes as counting found.
class Archive {
 public:
  static Archive counting() { return {nullptr, nullptr}; }
  static Archive writing(std::byte * to) { return {to, nullptr}; }
  static Archive reading(const std::byte * from) { return {nullptr, from}; }

  bool reads() const noexcept { return from_ != nullptr; }
  bool writes() const noexcept { return to_ != nullptr; }
  size_t size() const noexcept { return size_; }

  /// Where the next `size` bytes lie for a part that writes and reads itself; null for what this
  /// archive does not do.
  struct Place {
    std::byte * to;
    const std::byte * from;
  };
  Place place(size_t size) noexcept {
    const Place at{to_ == nullptr ? nullptr : to_ + size_,
                   from_ == nullptr ? nullptr : from_ + size_};
    size_ += size;
    return at;
  }

  void bytes(void * data, size_t size) noexcept {
    const Place at = place(size);
    if (size == 0) return;
    if (at.to != nullptr) std::memcpy(at.to, data, size);
    if (at.from != nullptr) std::memcpy(data, at.from, size);
  }

  template <typename T>
  void value(T & x) noexcept {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes(&x, sizeof x);
  }

  template <typename T>
  void values(std::vector<T> & x) noexcept {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes(x.data(), x.size() * sizeof(T));
  }

 private:
  Archive(std::byte * to, const std::byte * from) : to_(to), from_(from) {}

  std::byte * to_;
  const std::byte * from_;
  size_t size_ = 0;
};

}  // namespace voxhop
