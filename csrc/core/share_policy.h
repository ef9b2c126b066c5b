// Whether sharing a hop among threads pays on a machine as busy as this one is now.
#pragma once

#include <algorithm>
#include <chrono>

namespace voxhop {

/// Where no core is free, waking a worker takes the core from the waker, some fifty times a
/// hop, and the system may give it back milliseconds later. So a hop that took far longer than
/// the fastest one sends the next hops to one thread: twice as many each time, until slow
/// hops get rare.
class SharePolicy {
 public:
  using Duration = std::chrono::steady_clock::duration;

  /// To be asked before each hop.
  bool share() noexcept {
    shared_ = alone_left_ == 0;
    if (!shared_) --alone_left_;
    return shared_;
  }

  /// To be told after it.
  void took(Duration time) noexcept {
    fastest_ = std::min(fastest_, time);
    if (!shared_) return;
    if (time > 2 * fastest_ + std::chrono::milliseconds(1)) {
      alone_left_ = rest_;
      rest_ = std::min(2 * rest_, kLongestRest);
      good_ = 0;
    } else if (++good_ >= rest_) {
      rest_ = std::max(rest_ / 2, kShortestRest);
      good_ = 0;
    }
  }

 private:
  static constexpr int kShortestRest = 8, kLongestRest = 512;  // hops

  Duration fastest_ = std::chrono::hours(1);
  bool shared_ = true;
  int alone_left_ = 0;
  int rest_ = kShortestRest;
  int good_ = 0;
};

}  // namespace voxhop
