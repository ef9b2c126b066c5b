// A queue of samples between two threads, without a lock.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

namespace voxhop {

/// One thread writes, one other thread reads. The counts only grow; a release store of
/// one's own count and an acquire load of the other's order the samples in between.
class SpscRing {
 public:
  explicit SpscRing(int64_t capacity) : ring_(static_cast<size_t>(capacity)) {}

  int64_t capacity() const noexcept { return static_cast<int64_t>(ring_.size()); }

  /// Either side: a moment's view of how many samples wait.
  int64_t size() const noexcept {
    return written_.load(std::memory_order_acquire) - read_.load(std::memory_order_acquire);
  }

  /// Writer: appends what fits, of `in` or of `filler` when it is null; returns how many.
  int64_t write(const float * in, int64_t n, float filler = 0.0f) noexcept {
    const int64_t written = written_.load(std::memory_order_relaxed);
    const int64_t free = capacity() - (written - read_.load(std::memory_order_acquire));
    const int64_t count = std::min(n, free);
    for (int64_t i = 0; i < count; ++i) {
      ring_[static_cast<size_t>((written + i) % capacity())] = in == nullptr ? filler : in[i];
    }
    written_.store(written + count, std::memory_order_release);
    return count;
  }

  /// Reader: takes up to n samples; returns how many.
  int64_t read(float * out, int64_t n) noexcept {
    const int64_t read = read_.load(std::memory_order_relaxed);
    const int64_t count = std::min(n, written_.load(std::memory_order_acquire) - read);
    for (int64_t i = 0; i < count; ++i) {
      out[i] = ring_[static_cast<size_t>((read + i) % capacity())];
    }
    read_.store(read + count, std::memory_order_release);
    return count;
  }

  /// Reader: forgets what waits.
  void discard() noexcept {
    read_.store(written_.load(std::memory_order_acquire), std::memory_order_release);
  }

 private:
  std::vector<float> ring_;
  alignas(64) std::atomic<int64_t> written_{0};
  alignas(64) std::atomic<int64_t> read_{0};
};

}  // namespace voxhop
