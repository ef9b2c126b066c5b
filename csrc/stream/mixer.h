// What reaches the listener: the model's output, some of the microphone, or the microphone.
#pragma once

#include <cstdint>

namespace voxhop {

/// What a user can turn while a stream runs. Gains are linear.
struct MixControls {
  float strength = 1.0f;     // 1: all of the model; 0: the microphone
  float floor = 0.0f;        // a hop is never attenuated below this gain; 0: off
  float gate = 0.0f;         // output rms below which a hop is muted; 0: off
  bool high_follows = true;  // else the band above the model's is removed
  bool bypass = false;
  // What the stream knows about the hop:
  bool echo = false;  // the reference sounds
  bool gap = false;   // the echo in it is that of a lost stretch of the reference
};

/// Mixes hops at the model's rate. Every gain moves in straight lines, over one hop or,
/// for the bypass, over 20 ms, so no change of a control clicks.
/// In a gap the model cannot know the echo. No larger share of the microphone passes then
/// than passed on average just before, while the reference sounded; what is louder than the
/// echo was is the near end's and passes. After the gap, or after 0.3 s of it, the gain rises
/// by 3.5 dB per hop.
/// State: the gains at the end of the previous hop, the gate's hold, what passed of the echo.
class Mixer {
 public:
  explicit Mixer(int64_t rate);

  void reset(const MixControls & controls) noexcept;

  /// wet, dry: the model's output and the microphone of the same time, n samples each
  /// -> out, and high (n), the gain of the band above the model's. out may be wet.
  void mix(const MixControls & controls, const float * wet, const float * dry, int64_t n,
           float * out, float * high) noexcept;

 private:
  struct Gains {
    float wet = 1.0f, dry = 0.0f, high = 1.0f;
  };
  Gains target(const MixControls & controls, const float * wet, const float * dry,
               int64_t n) noexcept;
  float gap_gain(const MixControls & controls, double in, double out, int64_t n) noexcept;
  float gate_gain(const MixControls & controls, double mean_square, int64_t n) noexcept;

  float bypass_step_;
  int64_t hold_samples_, longest_gap_;
  Gains gains_;
  float bypass_ = 0.0f;
  float gate_ = 1.0f;
  int64_t held_ = 0;
  float gap_ = 1.0f;
  int64_t gap_samples_ = 0;
  double heard_ = 0.0, passed_ = 0.0;  // mean energies per hop of an echo
  double level_ = 0.0;                 // the first while it sounds: slow to fall
};

}  // namespace voxhop
