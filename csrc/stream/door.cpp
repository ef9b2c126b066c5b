#include "stream/door.h"

#include <algorithm>

namespace voxhop {

Door::Door(int64_t rate, double corner, bool declips, int64_t most)
    : high_pass_(rate, corner),
      samples_(static_cast<size_t>(most)),
      lost_(static_cast<size_t>(most)) {
  if (declips) declipper_.emplace(rate, most);
}

void Door::reset() noexcept {
  if (declipper_) declipper_->reset();
  high_pass_.reset();
  waiting_ = restored_ = 0;
}

void Door::take(const float * in, int64_t n) noexcept {
  if (in == nullptr) {
    std::fill_n(samples_.begin() + waiting_, n, 0.0f);
  } else {
    std::copy_n(in, n, samples_.begin() + waiting_);
  }
  std::fill_n(lost_.begin() + waiting_, n, static_cast<uint8_t>(in == nullptr));
  waiting_ += n;
}

int64_t Door::open(float * out) noexcept {
  const int64_t n = waiting_;
  if (declipper_) restored_ += declipper_->process(samples_.data(), n);
  for (int64_t at = 0; at < n;) {
    const uint8_t lost = lost_[static_cast<size_t>(at)];
    int64_t end = at;
    while (end < n && lost_[static_cast<size_t>(end)] == lost) ++end;
    if (lost != 0) {
      std::fill_n(out + at, end - at, 0.0f);
    } else {
      high_pass_.process(samples_.data() + at, end - at, out + at);
    }
    at = end;
  }
  waiting_ = 0;
  return n;
}

}  // namespace voxhop
