// Frames of the microphone that were lost on the way, and what may be heard in their place.
#pragma once

#include <cstdint>
#include <vector>

#include "stream/sample_fifo.h"

namespace voxhop {

/// A model fills what is lost from what it heard before; after about a second there is nothing
/// left to fill from, and what it makes up is babble. So the output of a longer burst fades to
/// silence between 0.8 and 1.2 s of it, and is back 10 ms after its end. By frame of the
/// microphone: the same however the loss was reported.
/// State: how long the present burst has lasted, the gains of the frames that are on their way.
class Losses {
 public:
  /// `latency`: frames by which the output lags the microphone.
  Losses(int64_t rate, int64_t latency);

  void reset() noexcept;

  /// n <= kMost frames of the microphone came, or were lost.
  void push(int64_t n, bool lost) noexcept;
  static constexpr int64_t kMost = 1024;

  /// Gains of the next n <= kMost frames of the output; they live until the next call.
  const float * pop(int64_t n) noexcept;

  int64_t frames() const noexcept { return frames_; }
  int64_t bursts() const noexcept { return bursts_; }

 private:
  int64_t latency_, hold_;
  float fall_, rise_;  // per frame
  SampleFifo gains_;
  std::vector<float> block_;
  int64_t age_ = 0;  // frames of the present burst
  float gain_ = 1.0f;
  int64_t frames_ = 0, bursts_ = 0;
};

}  // namespace voxhop
