// The reference on its way in: blocks beside the microphone's, or pushed by another thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "delay/delay_line.h"
#include "dsp/resampler.h"
#include "stream/high_pass.h"
#include "stream/ref_gaps.h"
#include "stream/spsc_ring.h"

namespace voxhop {

enum class MissingRef : int32_t { kZeros = 0, kHold = 1, kBypass = 2 };

struct RefConfig {
  int64_t rate = 48000;        // of the caller, Hz
  int64_t model_rate = 16000;  // Hz
  int64_t history = 0;         // samples at model_rate that stay readable
  int64_t hop = 256;           // samples at model_rate read at a time
  MissingRef policy = MissingRef::kHold;
};

/// Resamples the reference into its delay line so that index i of the line belongs to
/// microphone sample i. A stretch that is missing is filled: with silence, or (kHold) by
/// repeating the last 16 ms, fading out over 64 ms.
///
/// Pushed by another thread, the reference waits in a lock-free ring until the microphone
/// comes; its first sample is taken to belong to the microphone sample that comes next.
/// Samples that do not keep up read as silence; after kPatience without any, the
/// reference counts as missing until it comes again.
class RefInput {
 public:
  /// `door` is what every sample, a filled one too, passes first.
  RefInput(const RefConfig & config, const HighPass & door);

  /// Microphone thread only, like all below except write().
  void reset() noexcept;

  /// n <= kMost samples beside n of the microphone; null when they are missing.
  void push(const float * ref, int64_t n) noexcept;
  static constexpr int64_t kMost = 1024;

  /// Reference thread: n samples that begin at `position` of the reference's own count,
  /// or right after the previous ones when negative. A gap is missing, an overlap dropped. Returns
  /// how many of the n found no room in the ring.
  int64_t write(const float * ref, int64_t n, int64_t position) noexcept;

  /// Takes what was written, up to a second ahead of the microphone, which is about to
  /// advance by n <= kMost samples.
  void pull(int64_t n) noexcept;

  DelayLine & line() noexcept { return line_; }
  /// What is missing of it.
  RefGaps & gaps() noexcept { return gaps_; }
  const RefGaps & gaps() const noexcept { return gaps_; }
  bool missing() const noexcept { return missing_; }
  int64_t missing_samples() const noexcept { return missing_samples_; }
  int64_t buffered() const noexcept { return ring_.size(); }
  int64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

 private:
  void take(const float * block, int64_t n) noexcept;
  void append(const float * ref, int64_t n) noexcept;
  void conceal(int64_t n) noexcept;
  void hand_on(const float * ref, int64_t n) noexcept;

  int64_t rate_;
  MissingRef policy_;
  HighPass door_;
  Resampler down_;
  DelayLine line_;
  RefGaps gaps_;
  SpscRing ring_;
  std::vector<float> heard_, narrow_, block_, pulled_;
  std::vector<float> recent_;  // the last 16 ms, for kHold
  size_t recent_at_ = 0;
  float fade_ = 0.0f;
  int64_t mic_count_ = 0, ref_count_ = 0, silent_for_ = 0;
  bool missing_ = true;
  int64_t missing_samples_ = 0;
  int64_t write_position_ = 0;  // reference thread only
  std::atomic<int64_t> dropped_{0};
};

}  // namespace voxhop
