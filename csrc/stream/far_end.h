// What a stream knows of the loudspeaker: its signal, when its echo comes, what is missing.
#pragma once

#include <cstdint>
#include <vector>

#include "delay/aligner.h"
#include "stream/clock.h"
#include "stream/ref_input.h"
#include "voxhop.h"

namespace voxhop {

inline constexpr double kMostDelayMs = 2000.0;  // of an echo

/// The reference from the caller's blocks to aligned hops of the model. Only streams of a model
/// that takes a reference have one.
/// State: the reference, its alignment, the fade of one that is unrelated.
class FarEnd {
 public:
  /// align_taps: delays that the model's own alignment covers, 0 without one.
  FarEnd(const StreamClock & clock, const vh_stream_options & options, int64_t align_taps);

  void reset() noexcept;

  /// Takes samples in; see RefInput.
  RefInput & input() noexcept { return input_; }
  const RefInput & input() const noexcept { return input_; }

  /// The reference (hop samples) beside `mic`, the microphone of the next hop; lives until the
  /// next call.
  const float * hop(const float * mic) noexcept;

  /// An echo of this reference is known to be there.
  bool echo_expected() const noexcept;
  /// The output of the hop that hop() was called for holds the echo of what is missing of the
  /// reference. model_delay: where the model's own alignment looks, in hops; negative if unknown.
  bool echo_of_a_gap(int64_t model_delay) const noexcept;
  /// Something is missing that may still echo: else there is nothing to ask.
  bool gap_remembered() const noexcept;

  void read_metrics(vh_stream_metrics & metrics) const noexcept;

 private:
  void fade_unrelated() noexcept;
  int64_t pre_delay() const noexcept;
  /// Index of the microphone's sample with which the last hop began.
  int64_t hop_start() const noexcept { return (hops_ - 1) * clock_.hop; }

  StreamClock clock_;
  bool keep_unrelated_;
  int64_t history_;
  RefInput input_;
  Aligner aligner_;
  std::vector<float> aligned_;
  float gain_ = 1.0f;  // fades the reference out while it is unrelated
  int64_t hops_ = 0, late_ = 0;
};

}  // namespace voxhop
