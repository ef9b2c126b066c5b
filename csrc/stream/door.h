// What every sample of a microphone passes first.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "stream/declipper.h"
#include "stream/high_pass.h"

namespace voxhop {

/// What was cut is restored, then what lies below speech is taken away: the other way round
/// nothing would be flat any more. Samples wait until they are let in.
/// State: the samples that wait, the declipper, the high-pass.
class Door {
 public:
  /// `rate` and `corner` (0: none) in Hz; `most` samples may wait.
  Door(int64_t rate, double corner, bool declips, int64_t most);

  void reset() noexcept;

  bool declips() const noexcept { return declipper_.has_value(); }

  /// n samples more; null: they were lost. Those are zeros, and the high-pass stands still
  /// meanwhile: run on, it would ring into the loss and meet an offset like a step at its end.
  void take(const float * in, int64_t n) noexcept;
  int64_t waiting() const noexcept { return waiting_; }

  /// Lets in all that wait, one block for the declipper; returns how many.
  int64_t open(float * out) noexcept;

  int64_t restored() const noexcept { return restored_; }

 private:
  std::optional<Declipper> declipper_;
  HighPass high_pass_;
  std::vector<float> samples_;
  std::vector<uint8_t> lost_;
  int64_t waiting_ = 0, restored_ = 0;
};

}  // namespace voxhop
