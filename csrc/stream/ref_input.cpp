#include "stream/ref_input.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace voxhop {
namespace {

constexpr double kHoldSeconds = 0.016, kHoldFadeSeconds = 0.064;
constexpr double kPatience = 0.15;  // s: players push in bursts of up to 100 ms
constexpr double kRingSeconds = 4.0;
constexpr double kMostAhead = 1.0;  // s
// Stands in the ring for a sample that was lost; those that come are finite.
constexpr float kLost = std::numeric_limits<float>::quiet_NaN();

int64_t samples(double seconds, int64_t rate) {
  return static_cast<int64_t>(seconds * static_cast<double>(rate));
}

}  // namespace

RefInput::RefInput(const RefConfig & config, const HighPass & door)
    : rate_(config.rate),
      policy_(config.policy),
      door_(door),
      down_(config.rate, config.model_rate),
      line_(config.history + samples(kMostAhead, config.model_rate), config.hop),
      ring_(samples(kRingSeconds, config.rate)),
      heard_(static_cast<size_t>(kMost)),
      narrow_(static_cast<size_t>(down_.max_output(kMost))),
      block_(static_cast<size_t>(kMost)),
      pulled_(static_cast<size_t>(kMost)),
      recent_(static_cast<size_t>(samples(kHoldSeconds, config.rate))) {}

void RefInput::reset() noexcept {
  door_.reset();
  down_.reset();
  line_.reset();
  gaps_.reset();
  ring_.discard();
  std::fill(recent_.begin(), recent_.end(), 0.0f);
  recent_at_ = 0;
  fade_ = 0.0f;
  mic_count_ = ref_count_ = missing_samples_ = 0;
  silent_for_ = samples(kPatience, rate_);
  missing_ = true;
}

void RefInput::push(const float * ref, int64_t n) noexcept {
  if (ref == nullptr) {
    conceal(n);
  } else {
    append(ref, n);
  }
  mic_count_ += n;
}

// Splits what came out of the ring into what there is and what is lost.
void RefInput::take(const float * block, int64_t n) noexcept {
  for (int64_t i = 0; i < n;) {
    const bool lost = std::isnan(block[i]);
    int64_t end = i + 1;
    while (end < n && std::isnan(block[end]) == lost) ++end;
    if (lost) {
      conceal(end - i);
    } else {
      append(block + i, end - i);
    }
    i = end;
  }
}

void RefInput::append(const float * ref, int64_t n) noexcept {
  missing_ = false;
  fade_ = 1.0f;
  ref_count_ += n;
  if (policy_ == MissingRef::kHold) {
    for (int64_t i = 0; i < n; ++i) {
      recent_[recent_at_] = ref[i];
      recent_at_ = (recent_at_ + 1) % recent_.size();
    }
  }
  hand_on(ref, n);
}

void RefInput::conceal(int64_t n) noexcept {
  missing_ = true;
  missing_samples_ += n;
  ref_count_ += n;
  const auto step = static_cast<float>(1.0 / (kHoldFadeSeconds * static_cast<double>(rate_)));
  for (int64_t i = 0; i < n; ++i) {
    if (policy_ != MissingRef::kHold) fade_ = 0.0f;
    block_[static_cast<size_t>(i)] = fade_ * recent_[recent_at_];
    if (fade_ > 0.0f) recent_at_ = (recent_at_ + 1) % recent_.size();
    fade_ = std::max(0.0f, fade_ - step);
  }
  const int64_t begin = line_.write_index();
  hand_on(block_.data(), n);
  gaps_.add(begin, line_.write_index());
}

void RefInput::hand_on(const float * ref, int64_t n) noexcept {
  door_.process(ref, n, heard_.data());
  line_.write(narrow_.data(), down_.process(heard_.data(), n, narrow_.data()));
}

int64_t RefInput::write(const float * ref, int64_t n, int64_t position) noexcept {
  if (position < 0) position = write_position_;
  const int64_t overlap = std::clamp(write_position_ - position, int64_t{0}, n);
  if (position > write_position_) {
    // A gap longer than the ring cannot be kept in order anyway.
    ring_.write(nullptr, std::min(position - write_position_, ring_.capacity()), kLost);
  }
  const int64_t wanted = n - overlap;
  const int64_t taken = ring_.write(ref + overlap, wanted);
  write_position_ = std::max(write_position_, position + n);
  dropped_.fetch_add(wanted - taken, std::memory_order_relaxed);
  return wanted - taken;
}

void RefInput::pull(int64_t n) noexcept {
  const int64_t patience = samples(kPatience, rate_);
  if (ring_.size() > 0 || ref_count_ > mic_count_) {
    silent_for_ = 0;
  } else {
    silent_for_ = std::min(silent_for_ + n, patience + n);
  }
  const int64_t until = mic_count_ + samples(kMostAhead, rate_);
  while (ref_count_ < until) {
    const int64_t got = ring_.read(pulled_.data(), std::min<int64_t>(kMost, until - ref_count_));
    if (got == 0) break;
    take(pulled_.data(), got);
  }
  mic_count_ += n;
  while (silent_for_ >= patience && ref_count_ < mic_count_) {
    conceal(std::min(kMost, mic_count_ - ref_count_));
  }
}

}  // namespace voxhop
