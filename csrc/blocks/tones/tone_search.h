// Looks for tones in spectra: what turns at one rate for a second.
#pragma once

#include <array>
#include <cstdint>

#include "blocks/tones/tone_canceller.h"
#include "dsp/real_fft.h"

namespace voxhop::tones {

constexpr int kHop = static_cast<int>(kToneHop);
constexpr int kFrame = 2 * kHop;  // samples of a spectrum
constexpr int kBins = kHop;       // of it that are kept
constexpr int kFrames = 32;       // spectra that are looked at together
constexpr int kLookedAt = 8;      // bins in each hop, so that kFrames hops look at all

/// State of the search; zeros at the start.
struct Sightings {
  uint32_t hop;
  float past[kHop];          // the last hop
  float re[kFrames][kBins];  // spectra, a ring
  float im[kFrames][kBins];
  float rate[kBins], phase[kBins];  // as last seen: cycles per hop off the bin's middle; rad
  uint8_t seen[kBins];
};

/// A tone as it will be at the first sample of the next hop.
struct Sighting {
  double amplitude, phase, rate;  // rad, rad per sample
};

/// Immutable; works in memory that the caller gives.
class Search {
 public:
  Search();

  /// Doubles that look() works in.
  size_t work_size() const;
  /// Adds the hop, which has no known tones any more, and looks at the bins whose turn it is.
  /// Returns how many of `found` are tones that were seen a second time.
  int look(Sightings & s, const float * hop, std::array<Sighting, kLookedAt> & found,
           double * work) const;

 private:
  static constexpr int kWidth = 19;  // frequencies on each side of the bin's middle
  using Lanes = float[kLookedAt];

  struct Peak {
    int at;  // frequency, 1 - kWidth to kWidth - 1
    float left, middle, right;
  };

  void push(Sightings & s, const float * hop, double * work) const;
  void scan(const Lanes * re, const Lanes * im, std::array<Peak, kLookedAt> & peaks) const;
  bool see(Sightings & s, int bin, const Peak & peak, const float * re, const float * im,
           const float * magnitude, Sighting & found) const;

  RealFft fft_;
  double window_[kFrame];
  float weight_[kFrames];  // sums to 1
  float cos_[kWidth + 1][kFrames / 2], sin_[kWidth + 1][kFrames / 2];
};

}  // namespace voxhop::tones
