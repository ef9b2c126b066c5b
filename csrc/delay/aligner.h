// Decides with which delay the model hears the reference.
#pragma once

#include <cstdint>
#include <vector>

#include "delay/delay_line.h"
#include "delay/delay_probe.h"
#include "delay/delay_tracker.h"

namespace voxhop {

struct AlignerConfig {
  int64_t rate = 16000;     // of the model, Hz
  int64_t hop = 256;        // samples
  double window_s = 0.512;  // delays the model finds by itself
  bool automatic = true;    // find and follow the delay; else keep `delay_s`
  double delay_s = 0.0;     // used unless automatic
  double range_s = 2.0;     // longest delay looked for
};

/// Reads the reference from its delay line so that the echo comes a little after it.
/// A delay that the model's window covers is left alone; one outside is brought to two
/// hops by one jump, cross-faded over a hop. Drift is followed by reading the reference
/// a little faster or slower. The microphone is never touched.
/// State: probe, tracker, the present delay and its rate of change.
class Aligner {
 public:
  explicit Aligner(const AlignerConfig & config);

  void reset() noexcept;

  /// One hop. mic (hop), raw reference in `line` from `start` on; writes aligned (hop).
  /// Returns how many samples of it had not arrived yet and are silence.
  int64_t process(const float * mic, DelayLine & line, int64_t start, float * aligned) noexcept;

  /// By how much the reference is delayed now, in seconds.
  double pre_delay_s() const noexcept { return delay_ / rate(); }
  const DelayTracker & tracker() const noexcept { return tracker_; }
  /// Delay of the echo behind the reference as it came in, in seconds.
  double echo_delay_s() const noexcept { return tracker_.lag_at(now_s()); }
  bool automatic() const noexcept { return config_.automatic; }
  /// True while a sounding reference has shown no echo for so long that it is taken to
  /// be something else than what the loudspeaker plays.
  bool unrelated() const noexcept { return unrelated_; }
  int64_t jumps() const noexcept { return jumps_; }

 private:
  double rate() const noexcept { return static_cast<double>(config_.rate); }
  double now_s() const noexcept { return static_cast<double>(samples_) / rate(); }
  void observe(const float * mic, const DelayLine & line, int64_t start) noexcept;
  void choose(bool jumped) noexcept;
  double next_delay() noexcept;

  AlignerConfig config_;
  DelayProbe probe_;
  DelayTracker tracker_;
  std::vector<float> raw_, old_;
  double delay_ = 0.0;       // samples, at the start of the next hop
  double jump_from_ = -1.0;  // the delay before a jump that the next hop fades in
  bool gliding_ = false;     // drift is being followed
  double residual_ = 0.0;    // samples by which the echo shall lag the delayed reference
  bool unrelated_ = false;
  int64_t samples_ = 0, jumps_ = 0;
};

}  // namespace voxhop
