// A queue of samples of fixed capacity, for one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/archive.h"
#include "core/status.h"

namespace voxhop {

/// First in, first out; every call is O(n) and allocates nothing. The owner sizes it so
/// that a push always fits and a pop is always covered.
class SampleFifo {
 public:
  explicit SampleFifo(int64_t capacity) : ring_(static_cast<size_t>(capacity)) {}

  int64_t size() const noexcept { return size_; }
  int64_t capacity() const noexcept { return static_cast<int64_t>(ring_.size()); }

  void push(const float * in, int64_t n) noexcept {
    const int64_t first = std::min(n, capacity() - tail());
    std::copy_n(in, first, ring_.data() + tail());
    std::copy_n(in + first, n - first, ring_.data());
    size_ += n;
  }

  void push_zeros(int64_t n) noexcept {
    const int64_t first = std::min(n, capacity() - tail());
    std::fill_n(ring_.data() + tail(), first, 0.0f);
    std::fill_n(ring_.data(), n - first, 0.0f);
    size_ += n;
  }

  void pop(float * out, int64_t n) noexcept {
    const int64_t first = std::min(n, capacity() - head_);
    std::copy_n(ring_.data() + head_, first, out);
    std::copy_n(ring_.data(), n - first, out + first);
    head_ = (head_ + n) % capacity();
    size_ -= n;
  }

  void clear() noexcept { head_ = size_ = 0; }

  /// Everything in it. Throws VH_E_STATE for more than fits; it is empty then.
  void archive(Archive & archive) {
    if (archive.writes()) {  // equal contents are equal bytes
      std::rotate(ring_.begin(), ring_.begin() + head_, ring_.end());
      std::fill(ring_.begin() + size_, ring_.end(), 0.0f);
      head_ = 0;
    }
    archive.value(size_);
    archive.values(ring_);
    if (!archive.reads()) return;
    head_ = 0;
    if (size_ >= 0 && size_ <= capacity()) return;
    clear();
    fail(VH_E_STATE, "state: a queue holds more than fits into it");
  }

 private:
  int64_t tail() const noexcept { return (head_ + size_) % capacity(); }

  std::vector<float> ring_;
  int64_t head_ = 0;
  int64_t size_ = 0;
};

}  // namespace voxhop
