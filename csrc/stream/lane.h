// One microphone channel on its way through the model and back to the caller's rate.
#pragma once

#include <cstdint>
#include <vector>

#include "dsp/resampler.h"
#include "stream/clock.h"
#include "stream/door.h"
#include "stream/mixer.h"
#include "stream/sample_fifo.h"
#include "stream/session_handle.h"

namespace voxhop {

/// caller's samples -> door -> model's rate -> hop -> mix -> caller's rate -> FIFO.
/// What the way to the model's rate and back does not carry, x - up(down(x)): the band above
/// the model's, or the last eighth of a narrower one. It gets the gain that Mixer says.
/// State: the door, the two resamplers, the queues, the session, the mixer.
class Lane {
 public:
  /// `highpass_hz` and `declips`: of the door that every sample passes first.
  Lane(const StreamClock & clock, double highpass_hz, bool declips, SessionHandle session);

  void reset(const MixControls & controls);

  /// Takes n <= kMost samples of the microphone; null where they were lost.
  void push(const float * mic, int64_t n) noexcept;
  /// n <= kMost samples of it were lost.
  void push_lost(int64_t n) noexcept { push(nullptr, n); }
  static constexpr int64_t kMost = 1024;

  /// Whether a hop can run; all lanes of a stream agree.
  bool ready() const noexcept { return model_in_.size() >= clock_.hop + clock_.lookahead; }

  /// The microphone of the next hop, for the delay probe and the meters; call once per
  /// hop, before run().
  const float * take() noexcept;

  /// One hop on what take() gave; `ref` null for a model that takes none. Returns false when the
  /// model gave a sample that is not finite; the hop is then silence and the session starts anew.
  /// With `skim` the model skims it, and the microphone is what it gives.
  bool run(const float * ref, const MixControls & controls, bool skim) noexcept;

  /// Output and microphone of the same time, hop samples each, of the last run().
  const float * wet() const noexcept { return wet_.data(); }
  const float * dry() const noexcept { return dry_.data(); }

  /// Writes n output samples; as many as were pushed are always there.
  void pop(float * out, int64_t n) noexcept { out_.pop(out, n); }
  int64_t waiting() const noexcept { return out_.size(); }

  /// Samples that the door restored.
  int64_t restored() const noexcept { return door_.restored(); }

  vh_session * session() const noexcept { return session_.get(); }

 private:
  bool converts() const noexcept { return clock_.rate != clock_.model_rate; }
  int64_t next_hop() const noexcept;
  void enter(int64_t n) noexcept;
  void emit(int64_t skip) noexcept;

  StreamClock clock_;
  SessionHandle session_;
  Resampler down_, up_;
  int64_t most_waiting_;  // samples: those of the first hop, or of a push
  Door door_;
  Mixer mixer_;
  SampleFifo model_in_, model_dry_, dry_in_, out_;
  std::vector<float> hop_in_, wet_, dry_, mixed_, high_;
  std::vector<float> heard_, narrow_, low_, wide_;
  std::vector<float> gain_ring_;  // high-band gains by model-rate index
  int64_t to_skip_ = 0;           // model-rate samples before time 0
  int64_t mixed_count_ = 0, emitted_ = 0;
  int64_t taken_ = 0, blocks_ = 0;  // samples of the microphone, and hops whose samples came
};

}  // namespace voxhop
