// A session behind the caller's own clock: any block length, rate and channel count.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "stream/clock.h"
#include "stream/far_end.h"
#include "stream/governor.h"
#include "stream/lane.h"
#include "stream/losses.h"
#include "stream/meters.h"
#include "stream/stream_options.h"
#include "voxhop.h"

namespace voxhop {

/// Everything happens at hop boundaries of the model's rate, counted from the first
/// microphone sample, so the result depends on the samples and not on the calls.
/// Threads: push_ref() may run beside anything else but reset; the rest is one thread's.
class Stream {
 public:
  /// `options` are known_options(). Throws VH_E_ARGUMENT, VH_E_UNSUPPORTED, VH_E_MEMORY.
  Stream(const vh_model & model, const vh_stream_options & options)
      : Stream(options, open_sessions(model, options)) {}

  int64_t latency() const noexcept { return clock_.latency; }
  void reset() noexcept;

  /// `ref` null: missing. VH_E_ARGUMENT for one that the model does not take. In and out are
  /// interleaved; T is float or int16_t.
  template <typename T>
  void process(const T * mic, const T * ref, T * out, int64_t frames);
  /// Frames of the microphone that did not arrive; `ref` as for process, or null after push_mic.
  template <typename T>
  void process_lost(const T * ref, T * out, int64_t frames);
  template <typename T>
  void push_mic(const T * mic, T * out, int64_t frames);
  template <typename T>
  void push_ref(const T * ref, int64_t frames, int64_t position);
  template <typename T>
  void flush(T * out);

  void set(int32_t control, double value);
  void read_metrics(vh_stream_metrics & metrics) const noexcept;

 private:
  enum class Feed { kNone, kTogether, kApart };
  static constexpr int64_t kBlock = 1024;

  Stream(const vh_stream_options & options, StreamSessions opened);
  template <typename T>
  void advance(const T * mic, T * out, int64_t frames);
  template <typename T>
  void take_ref(const T * ref, int64_t frames) noexcept;
  template <typename T>
  void take_mic(const T * mic, int64_t frames) noexcept;
  template <typename T>
  void give_out(T * out, int64_t frames) noexcept;
  void run_hops() noexcept;
  void run_hop() noexcept;
  void resize() noexcept;
  bool wants_bypass() const noexcept;
  bool not_helping() const noexcept { return far_ && meters_.not_helping(); }
  void feed_by(Feed feed);
  void check_takes_ref() const;
  int64_t model_delay(double * confidence) const noexcept;
  void read_model_delay(vh_stream_metrics & metrics) const noexcept;

  StreamClock clock_;
  vh_stream_options options_;
  MixControls opened_with_, controls_;
  int64_t align_taps_;         // delays of the model's own alignment, 0 without one
  std::optional<FarEnd> far_;  // none for a model that takes a microphone alone
  Losses losses_;
  Meters meters_;
  TimeHistogram times_;
  std::vector<Lane> lanes_;
  std::optional<Sizes> sizes_;                // both or neither; of the lanes' sessions
  std::optional<Governor> governor_;          // chooses among them
  std::vector<float> channel_, ref_block_;    // work space
  mutable std::vector<float> align_weights_;  // work space of model_delay()
  bool bypass_ = false, skims_ = false;       // asked for by the controls
  Feed feed_ = Feed::kNone;
  int64_t frames_ = 0, hops_ = 0, late_hops_ = 0, failed_hops_ = 0, resizes_ = 0;
  int64_t clipped_ = 0, mic_nonfinite_ = 0;
  std::atomic<int64_t> ref_nonfinite_{0};
};

}  // namespace voxhop
