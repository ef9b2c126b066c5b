// The level of what a model hears: brought to a nominal peak in front of it, undone behind it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/archive.h"
#include "stream/sample_fifo.h"

namespace voxhop {

/// Restoring models are trained on speech whose peak is near -6 dBFS. The followed peak rises at
/// once; it falls by 6 dB a second while hops are within 20 dB of it, by 0.5 dB a second in
/// pauses, and not at all below -60 dBFS. The gain is at most 40 dB and moves in a straight line
/// over a hop. lift() and lower() in turn.
class LevelFollower {
 public:
  /// The output lags the hop by `latency` samples. Throws VH_E_ARGUMENT for sizes out of range.
  LevelFollower(int64_t hop, int64_t rate, int64_t latency);

  void reset() noexcept;

  int64_t hop() const noexcept { return hop_; }
  /// Whether lower() is next.
  bool lifted() const noexcept { return gains_.size() > latency_; }
  /// A hop as the model is to hear it; in and out may be one.
  void lift(const float * in, float * out) noexcept;
  /// What the model made of it, at the level of its input; in and out may be one.
  void lower(const float * in, float * out) noexcept;

  /// At the end of the last hop.
  double gain_db() const noexcept;

  /// Everything it remembers. Throws VH_E_STATE for what it cannot have; it is as after reset then.
  void archive(Archive & archive);

 private:
  void follow(double peak) noexcept;

  int64_t hop_, latency_;
  double speech_, pause_;  // shares of the peak that a hop leaves
  double peak_ = 0.0;      // 0: no sound yet
  double gain_ = 1.0;
  SampleFifo gains_;  // whose output is still to come
  std::vector<float> hop_gains_;
};

}  // namespace voxhop
