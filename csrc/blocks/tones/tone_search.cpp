#include "blocks/tones/tone_search.h"

#include <algorithm>
#include <cmath>

namespace voxhop::tones {
namespace {

const double kPi = std::acos(-1.0);
constexpr double kGrid = 64.0;  // frequencies per cycle and hop
constexpr float kCoherent = 0.65f;
constexpr double kSameRate = 1.0 / 62.5;  // cycles per hop: 1 Hz
constexpr double kSamePhase = 0.8 / 62.5;
constexpr float kAudibleBin = 1e-3f;
constexpr double kLeastCoherence = 1e-9;
constexpr int kHalf = kFrames / 2;

/// Turns of a whole cycle taken off: -1/2 to 1/2.
double wrapped(double cycles) {
  return cycles + 0.5 - std::floor(cycles + 0.5) - 0.5;
}

double sinc(double x) {
  return x == 0.0 ? 1.0 : std::sin(kPi * x) / (kPi * x);
}

}  // namespace

Search::Search() : fft_(kFrame) {
  for (int n = 0; n < kFrame; ++n) {
    const double s = std::sin(kPi * (n + 0.5) / kFrame);
    window_[n] = s * s;
  }
  double sum = 0.0, weight[kFrames];
  for (int i = 0; i < kFrames; ++i) {
    const double s = std::sin(kPi * (i + 1) / (kFrames + 1));
    sum += weight[i] = s * s;
  }
  for (int i = 0; i < kFrames; ++i) weight_[i] = static_cast<float>(weight[i] / sum);
  for (int g = 0; g <= kWidth; ++g) {
    for (int i = 0; i < kHalf; ++i) {
      const double turn = 2.0 * kPi * g / kGrid * (i - (kFrames - 1) / 2.0);
      cos_[g][i] = static_cast<float>(std::cos(turn));
      sin_[g][i] = static_cast<float>(std::sin(turn));
    }
  }
}

size_t Search::work_size() const {
  return static_cast<size_t>(kFrame + 2 * fft_.bins()) + fft_.work_size();
}

void Search::push(Sightings & s, const float * hop, double * work) const {
  double *frame = work, *spectrum = frame + kFrame;
  for (int n = 0; n < kHop; ++n) {
    frame[n] = window_[n] * double{s.past[n]};
    frame[kHop + n] = window_[kHop + n] * double{hop[n]};
  }
  std::copy_n(hop, kHop, s.past);
  fft_.forward(frame, spectrum, spectrum + 2 * fft_.bins());
  float *re = s.re[s.hop % kFrames], *im = s.im[s.hop % kFrames];
  for (int k = 0; k < kBins; ++k) {
    re[k] = static_cast<float>(spectrum[2 * k]);
    im[k] = static_cast<float>(spectrum[2 * k + 1]);
  }
  ++s.hop;
}

int Search::look(Sightings & s, const float * hop, std::array<Sighting, kLookedAt> & found,
                 double * work) const {
  push(s, hop, work);
  if (s.hop <= kFrames) return 0;
  const int first = static_cast<int>((s.hop - 1) % kFrames) * kLookedAt;
  // Phases alone, oldest first: a loud syllable counts as much as a pause.
  Lanes re[kFrames], im[kFrames];
  float magnitude[kLookedAt][kFrames];
  for (int i = 0; i < kFrames; ++i) {
    const uint32_t row = (s.hop + static_cast<uint32_t>(i)) % kFrames;
    const float *x = s.re[row] + first, *y = s.im[row] + first;
    for (int j = 0; j < kLookedAt; ++j) {
      const float size = std::sqrt(x[j] * x[j] + y[j] * y[j]);
      magnitude[j][i] = size;
      // The middle of an odd bin turns by half a cycle with every hop.
      const float scale = weight_[i] / (size + kAudibleBin) * (i * j % 2 != 0 ? -1.0f : 1.0f);
      re[i][j] = scale * x[j];
      im[i][j] = scale * y[j];
    }
  }
  std::array<Peak, kLookedAt> peaks;
  scan(re, im, peaks);
  int count = 0;
  for (int j = 0; j < kLookedAt; ++j) {
    float bin_re[kFrames], bin_im[kFrames];
    for (int i = 0; i < kFrames; ++i) {
      bin_re[i] = re[i][j];
      bin_im[i] = im[i][j];
    }
    Sighting & next = found[static_cast<size_t>(count)];
    count += see(s, first + j, peaks[static_cast<size_t>(j)], bin_re, bin_im, magnitude[j], next);
  }
  return count;
}

// Correlation with every frequency around the bins' middles; the strongest and its neighbours.
void Search::scan(const Lanes * re, const Lanes * im, std::array<Peak, kLookedAt> & peaks) const {
  // Frames as far before the middle as others are behind it share their factors.
  Lanes sum_re[kHalf], sum_im[kHalf], less_re[kHalf], less_im[kHalf];
  for (int i = 0; i < kHalf; ++i) {
    const float *x = re[i], *y = im[i], *x_late = re[kFrames - 1 - i],
                *y_late = im[kFrames - 1 - i];
    for (int j = 0; j < kLookedAt; ++j) {
      sum_re[i][j] = x[j] + x_late[j];
      sum_im[i][j] = y[j] + y_late[j];
      less_re[i][j] = x[j] - x_late[j];
      less_im[i][j] = y[j] - y_late[j];
    }
  }
  Lanes power[2 * kWidth + 1];
  for (int g = 0; g <= kWidth; ++g) {
    Lanes a_re = {}, a_im = {}, b_re = {}, b_im = {};
    for (int i = 0; i < kHalf; ++i) {
      const float c = cos_[g][i], d = sin_[g][i];
      for (int j = 0; j < kLookedAt; ++j) {
        a_re[j] += c * sum_re[i][j];
        a_im[j] += c * sum_im[i][j];
        b_re[j] += d * less_im[i][j];
        b_im[j] += d * less_re[i][j];
      }
    }
    for (int j = 0; j < kLookedAt; ++j) {
      const float x = a_re[j] + b_re[j], y = a_im[j] - b_im[j];
      const float x_back = a_re[j] - b_re[j], y_back = a_im[j] + b_im[j];
      power[kWidth + g][j] = x * x + y * y;
      power[kWidth - g][j] = x_back * x_back + y_back * y_back;
    }
  }
  for (int j = 0; j < kLookedAt; ++j) {
    int best = 1;
    for (int g = 2; g < 2 * kWidth; ++g) {
      if (power[g][j] > power[best][j]) best = g;
    }
    const auto root = [&](int g) { return std::sqrt(power[g][j]); };
    peaks[static_cast<size_t>(j)] = {best - kWidth, root(best - 1), root(best), root(best + 1)};
  }
}

// Whether a bin holds a tone that it held before; `re`, `im`: its weighed phases.
bool Search::see(Sightings & s, int bin, const Peak & peak, const float * re, const float * im,
                 const float * magnitude, Sighting & found) const {
  const bool before = s.seen[bin] != 0;
  const bool coherent = peak.middle >= kCoherent && bin > 0;
  s.seen[bin] = coherent ? 1 : 0;
  if (!coherent) return false;

  const auto level = [](float value) { return std::log(std::max(double{value}, kLeastCoherence)); };
  const double left = level(peak.left), middle = level(peak.middle), right = level(peak.right);
  const double curve = left - 2.0 * middle + right;
  const double between = curve < 0.0 ? std::clamp(0.5 * (left - right) / curve, -1.0, 1.0) : 0.0;
  double rate = (peak.at + between) / kGrid;
  double x = 0.0, y = 0.0;
  for (int i = 0; i < kFrames; ++i) {
    const double turn = 2.0 * kPi * rate * (i - (kFrames - 1) / 2.0);
    const double c = std::cos(turn), d = std::sin(turn);
    x += re[i] * c + im[i] * d;
    y += im[i] * c - re[i] * d;
  }
  const double phase = std::atan2(y, x);
  const double step = wrapped((phase - s.phase[bin]) / (2.0 * kPi) - kFrames * rate) / kFrames;
  const bool again =
      before && std::abs(rate - s.rate[bin]) < kSameRate && std::abs(step) < kSamePhase;
  s.rate[bin] = static_cast<float>(rate);
  s.phase[bin] = static_cast<float>(phase);
  if (!again) return false;

  rate += step;
  const double off = 2.0 * rate;  // bins
  const double response = kHop * sinc(off) / (1.0 - off * off);
  float sizes[kFrames];
  std::copy_n(magnitude, kFrames, sizes);
  std::nth_element(sizes, sizes + kHalf - 1, sizes + kFrames);
  found.amplitude = 2.0 / response * sizes[kHalf - 1];
  found.rate = 2.0 * kPi * (bin + off) / kFrame;
  const double newest = phase + kPi * (kFrames - 1) * rate + kPi * (bin % 2);
  const double start = newest - 2.0 * kPi * off / kFrame * (kFrame - 1) / 2.0;
  found.phase = start + kFrame * found.rate;
  return true;
}

}  // namespace voxhop::tones
