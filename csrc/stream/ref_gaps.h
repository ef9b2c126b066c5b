// Which stretches of the reference were lost on the way.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace voxhop {

/// The last kMost stretches, as indices of the reference's delay line.
class RefGaps {
 public:
  void reset() noexcept { *this = RefGaps{}; }

  /// [begin, end) was lost; stretches come in order.
  void add(int64_t begin, int64_t end) noexcept {
    Stretch & last = stretches_[(count_ + kMost - 1) % kMost];
    if (count_ > 0 && begin <= last.end) {
      last.end = std::max(last.end, end);
      return;
    }
    stretches_[count_++ % kMost] = {begin, end};
  }

  /// Whether anything of [begin, end) was lost.
  bool any(int64_t begin, int64_t end) const noexcept {
    return std::any_of(stretches_.begin(), stretches_.end(), [=](const Stretch & s) {
      return s.begin < s.end && s.begin < end && begin < s.end;
    });
  }

 private:
  struct Stretch {
    int64_t begin = 0, end = 0;
  };
  static constexpr size_t kMost = 64;

  std::array<Stretch, kMost> stretches_;
  size_t count_ = 0;
};

}  // namespace voxhop
