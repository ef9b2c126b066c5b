// What the two filters keep between hops, what a hop works in, and what never changes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "blocks/canceller/echo_decision.h"
#include "blocks/canceller/echo_location.h"
#include "kernels/pack.h"

namespace voxhop::echo {

using kernels::LaneFftTables;

constexpr int kHop = static_cast<int>(EchoFilter::kHop);
constexpr int kSize = LaneFftTables::kSize;
constexpr int kBins = LaneFftTables::kHalf + 1;
constexpr int kGroup = static_cast<int>(EchoFilter::kGroup);
constexpr double kPriorDecay = 0.1;  // per partition

struct Rule {
  double prior;
  float shrink, forget, spread;
};
constexpr Rule kSteady = {0.05, 0.5f, 2e-4f, 0.0f};
constexpr Rule kQuick = {0.25, 0.1f, 4e-4f, 0.1f};

struct Head {
  uint32_t hop;
  uint32_t newest;  // place of the newest spectrum in the ring
  EchoDecision decision;
};

/// What does not change, kept with the model's packed weights.
struct Tables {
  LaneFftTables fft;
  alignas(64) float prior_steady[EchoFilter::kMost], prior_quick[EchoFilter::kMost];
  alignas(64) float spread[EchoFilter::kMost];  // of the quick filter, sums to kQuick.spread
  float uncertainty;                            // prior_quick of all partitions
};

inline void fill_tables(int partitions, Tables & t) {
  kernels::fill_lane_fft_tables(t.fft);
  double sum = 0.0;
  t.uncertainty = 0.0f;
  for (int p = 0; p < partitions; ++p) sum += std::exp(-kPriorDecay * p);
  for (int p = 0; p < partitions; ++p) {
    const double shape = std::exp(-kPriorDecay * p);
    t.prior_steady[p] = static_cast<float>(kSteady.prior * shape);
    t.prior_quick[p] = static_cast<float>(kQuick.prior * shape);
    t.spread[p] = static_cast<float>(double{kQuick.spread} * shape / sum);
    t.uncertainty += t.prior_quick[p];
  }
}

/// Hands out consecutive stretches of a block of floats, each of whole 64 bytes.
class Stretches {
 public:
  explicit Stretches(std::byte * base) : base_(reinterpret_cast<float *>(base)) {}
  float * next(int count) {
    float * stretch = base_ + used_;
    used_ += static_cast<size_t>((count + 15) / 16 * 16);
    return stretch;
  }
  size_t bytes() const { return used_ * sizeof(float); }

 private:
  float * base_;
  size_t used_ = 0;
};

struct Filter {
  float *w_re, *w_im, *v;  // (bins, P)
  float * near;            // (bins)
};

/// The stream's floats, behind the head.
struct Memory {
  float * past;        // the reference's last hop
  float *x_re, *x_im;  // (bins, 2 P): a ring written twice, so that P in a row are always there
  float *located_re, *located_im;  // (kLocateBins, P)
  float * loudness;                // (kLocateBins)
  Filter steady, quick;

  size_t lay(std::byte * base, int partitions) {
    Stretches s(base);
    const int rows = kBins * partitions;
    past = s.next(kHop);
    x_re = s.next(2 * rows);
    x_im = s.next(2 * rows);
    located_re = s.next(kLocateBins * partitions);
    located_im = s.next(kLocateBins * partitions);
    loudness = s.next(kLocateBins);
    for (Filter * f : {&steady, &quick}) {
      f->w_re = s.next(rows);
      f->w_im = s.next(rows);
      f->v = s.next(rows);
      f->near = s.next(kBins);
    }
    return s.bytes();
  }
};

constexpr int kPairStep = kGroup;  // floats between the bins of a pair of spectra

/// What a hop works in. Pairs hold the steady filter's value, then the quick one's, and for a
/// moment the microphone's behind them.
struct Work {
  float *g_re, *g_im;        // (bins, P)
  float *pair_re, *pair_im;  // (bins, kPairStep)
  float *misfit[2], *total;  // (bins)
  float * samples;           // (3, kSize)
  float * fft;

  size_t lay(std::byte * base, int partitions) {
    Stretches s(base);
    g_re = s.next(kBins * partitions);
    g_im = s.next(kBins * partitions);
    pair_re = s.next(kBins * kPairStep);
    pair_im = s.next(kBins * kPairStep);
    misfit[0] = s.next(kBins);
    misfit[1] = s.next(kBins);
    total = s.next(kBins);
    samples = s.next(3 * kSize);
    fft = s.next(kernels::kLaneFftWork);
    return s.bytes();
  }
};

}  // namespace voxhop::echo
