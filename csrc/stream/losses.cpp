#include "stream/losses.h"

#include <algorithm>

namespace voxhop {
namespace {

constexpr double kHoldSeconds = 0.8, kFadeSeconds = 0.4, kReturnSeconds = 0.01;

float per_frame(double seconds, int64_t rate) {
  return static_cast<float>(1.0 / (seconds * static_cast<double>(rate)));
}

}  // namespace

Losses::Losses(int64_t rate, int64_t latency)
    : latency_(latency),
      hold_(static_cast<int64_t>(kHoldSeconds * static_cast<double>(rate))),
      fall_(per_frame(kFadeSeconds, rate)),
      rise_(per_frame(kReturnSeconds, rate)),
      gains_(latency + kMost),
      block_(static_cast<size_t>(kMost)) {
  reset();
}

void Losses::reset() noexcept {
  std::fill(block_.begin(), block_.end(), 1.0f);
  gains_.clear();
  for (int64_t left = latency_; left > 0; left -= kMost) {
    gains_.push(block_.data(), std::min(left, kMost));
  }
  age_ = frames_ = bursts_ = 0;
  gain_ = 1.0f;
}

void Losses::push(int64_t n, bool lost) noexcept {
  if (lost && age_ == 0 && n > 0) ++bursts_;
  if (lost) frames_ += n;
  if (!lost && gain_ == 1.0f) {  // as almost always
    age_ = 0;
    std::fill_n(block_.begin(), n, 1.0f);
    gains_.push(block_.data(), n);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    age_ = lost ? age_ + 1 : 0;
    const float goal = age_ > hold_ ? 0.0f : 1.0f;
    gain_ += std::clamp(goal - gain_, -fall_, rise_);
    block_[static_cast<size_t>(i)] = gain_;
  }
  gains_.push(block_.data(), n);
}

const float * Losses::pop(int64_t n) noexcept {
  gains_.pop(block_.data(), n);
  return block_.data();
}

}  // namespace voxhop
