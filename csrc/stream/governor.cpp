#include "stream/governor.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace voxhop {
namespace {

constexpr double kLate = 0.95;  // of a hop's time: the rest of the caller's work comes on top
constexpr double kTooMany = 1.5, kForgetSeconds = 1.0;
constexpr double kRoom = 0.7;  // what a larger size may be expected to take
constexpr double kPeakSeconds = 3.0;
constexpr double kPatience = 5.0, kMostPatience = 80.0, kRegret = 10.0;  // s

}  // namespace

Governor::Governor(std::vector<double> costs, double hop_seconds)
    : costs_(std::move(costs)), hop_s_(hop_seconds) {
  reset();
}

void Governor::reset() noexcept {
  size_ = 0;
  late_ = peak_ = calm_s_ = 0.0;
  since_s_ = kRegret;
  patience_s_ = kPatience;
}

size_t Governor::next(double seconds) noexcept {
  const double load = seconds / hop_s_;
  late_ *= std::exp(-hop_s_ / kForgetSeconds);
  peak_ = std::max(load, peak_ * std::exp(-hop_s_ / kPeakSeconds));
  calm_s_ += hop_s_;
  since_s_ += hop_s_;
  if (load > kLate) {
    late_ += 1.0;
    calm_s_ = 0.0;
  }
  if (late_ > kTooMany && size_ + 1 < costs_.size()) {
    if (since_s_ < kRegret) patience_s_ = std::min(2.0 * patience_s_, kMostPatience);
    change(size_ + 1);
  } else if (size_ > 0 && calm_s_ >= patience_s_ &&
             peak_ * costs_[size_ - 1] / costs_[size_] < kRoom) {
    change(size_ - 1);
    since_s_ = 0.0;
  }
  return size_;
}

void Governor::change(size_t size) noexcept {
  peak_ *= costs_[size] / costs_[size_];
  size_ = size;
  late_ = calm_s_ = 0.0;
}

}  // namespace voxhop
