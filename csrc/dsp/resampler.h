// Rational-rate resampling of a stream, exact in delay.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/archive.h"
#include "kernels/kernels.h"

namespace voxhop {

/// Filter of a resampler, relative to the lower of the two rates: flat up to `pass`,
/// `attenuation_db` down from `stop` on.
struct ResamplerDesign {
  double pass = 0.4375;
  double stop = 0.5;
  double attenuation_db = 90.0;
};

/// Output sample m is the band-limited input at the input time m * in_rate / out_rate:
/// the filter is linear-phase and centred, so nothing is shifted. It can be computed
/// once input sample floor(m * in_rate / out_rate) + lookahead() is there.
/// Polyphase FIR, Kaiser-windowed sinc, each phase normalised to unit gain at 0 Hz.
/// State: the last 2 * lookahead() input samples and the position, zero at reset.
class Resampler {
 public:
  /// Rates in Hz, 1000 to 384000, whose ratio reduces to terms of at most 1000.
  /// Throws VH_E_UNSUPPORTED otherwise.
  Resampler(int64_t in_rate, int64_t out_rate, const ResamplerDesign & design = {});

  /// Input samples after the centre of the filter that an output sample needs.
  int64_t lookahead() const noexcept { return half_width_; }
  /// The same without making one; throws as the constructor.
  static int64_t lookahead(int64_t in_rate, int64_t out_rate, const ResamplerDesign & design = {});

  /// First input count with which output sample `m` can be computed.
  int64_t input_needed(int64_t m) const noexcept { return m * down_ / up_ + half_width_ + 1; }

  /// Output samples that exist once `in_count` samples in all have been pushed.
  int64_t output_count(int64_t in_count) const noexcept;

  /// Takes n samples and writes every output sample they complete; `out` has room for
  /// max_output(n). Returns how many were written.
  int64_t process(const float * in, int64_t n, float * out) noexcept;
  int64_t max_output(int64_t n) const noexcept { return n * up_ / down_ + 1; }

  void reset() noexcept;

  /// Its state. Throws VH_E_STATE for one that it cannot have; it is as after reset then.
  void archive(Archive & archive);

 private:
  void design_phases(double cutoff, double beta);
  int64_t emit(float * out) noexcept;

  const kernels::KernelTable * kernels_;
  int64_t up_, down_;  // out_rate : in_rate in lowest terms
  int64_t half_width_ = 0;
  size_t taps_ = 0;            // per phase, padded to whole vectors
  std::vector<float> phases_;  // (up, taps)
  std::vector<float> window_;  // recent input, oldest first
  size_t filled_ = 0;          // samples in window_
  int64_t window_start_ = 0;   // input index of window_[0]
  int64_t centre_ = 0;         // input index of the next output sample, floored
  int64_t phase_ = 0;          // its fraction, in units of 1 / up
};

}  // namespace voxhop
