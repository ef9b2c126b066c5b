#include "blocks/canceller/echo_location.h"

#include <algorithm>

namespace voxhop {
namespace {

constexpr float kFloor = 2.5f;  // of the median
constexpr float kDecay = 0.7f;  // of a room, per partition: an RT60 of 0.6 s
constexpr float kLeast = 1e-12f;
constexpr float kLeastEvidence = 0.5f;  // how far the strongest partition stands out

}  // namespace

EchoPlace locate_echo(const kernels::KernelTable & kernels, const kernels::EchoLocation & spectra) {
  EchoPlace place{};
  const int P = spectra.partitions;
  kernels.echo_evidence(spectra, place.share);
  float sorted[EchoFilter::kMost];
  std::copy_n(place.share, P, sorted);
  std::nth_element(sorted, sorted + P / 2, sorted + P);
  const float floor = kFloor * sorted[P / 2];
  float most = 0.0f, run = 0.0f, sum = 0.0f;
  place.strongest = 0;
  for (int p = 0; p < P; ++p) {
    const float above = std::max(place.share[p] - floor, 0.0f);
    if (above > most) place.strongest = p;
    most = std::max(most, above);
    run = std::max(above, kDecay * run);
    place.share[p] = run;
    sum += run;
  }
  for (int p = 0; p < P; ++p) place.share[p] = sum > kLeast ? place.share[p] / sum : 0.0f;
  const float evidence = most / (floor + kLeast);
  if (!(evidence >= kLeastEvidence)) place.strongest = -1;
  return place;
}

}  // namespace voxhop
