#include "delay/delay_line.h"

#include <algorithm>
#include <cmath>

#include "dsp/dot.h"
#include "dsp/kaiser.h"

namespace voxhop {
namespace {

// Between two of 256 phases the taps are interpolated linearly: the error of that is
// below -100 dB, under the stop band of the window.
constexpr int64_t kPhases = 256;
constexpr size_t kTaps = 2 * DelayLine::kLookahead;
constexpr double kCutoff = 0.5, kBeta = 7.0;

int64_t power_of_two(int64_t at_least) {
  int64_t n = 1;
  while (n < at_least) n *= 2;
  return n;
}

}  // namespace

DelayLine::DelayLine(int64_t history, int64_t most)
    : mask_(power_of_two(history + most + 4 * kLookahead) - 1),
      ring_(static_cast<size_t>(mask_ + 1)),
      span_(static_cast<size_t>(most + most / 1000 + 4 * kLookahead)) {
  for (int64_t p = 0; p <= kPhases; ++p) {
    double taps[kTaps], sum = 0.0;
    for (size_t j = 0; j < kTaps; ++j) {
      const double t = static_cast<double>(j) - static_cast<double>(kLookahead - 1) -
                       static_cast<double>(p) / static_cast<double>(kPhases);
      taps[j] = windowed_sinc(t, kCutoff, static_cast<double>(kLookahead), kBeta);
      sum += taps[j];
    }
    for (const double tap : taps) phases_.push_back(static_cast<float>(tap / sum));
  }
}

void DelayLine::reset() noexcept {
  std::fill(ring_.begin(), ring_.end(), 0.0f);
  written_ = 0;
}

void DelayLine::write(const float * in, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) ring_[static_cast<size_t>((written_ + i) & mask_)] = in[i];
  written_ += n;
}

void DelayLine::write_zeros(int64_t n) noexcept {
  const int64_t clear = std::min(n, mask_ + 1);
  for (int64_t i = 0; i < clear; ++i) {
    ring_[static_cast<size_t>((written_ + n - 1 - i) & mask_)] = 0.0f;
  }
  written_ += n;
}

void DelayLine::copy(int64_t first, int64_t n, float * out) const noexcept {
  const int64_t oldest = std::max<int64_t>(0, written_ - mask_ - 1);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t at = first + i;
    out[i] = at >= oldest && at < written_ ? ring_[static_cast<size_t>(at & mask_)] : 0.0f;
  }
}

float DelayLine::interpolate(const float * around, double fraction) const noexcept {
  const double phase = fraction * static_cast<double>(kPhases);
  const auto row = static_cast<size_t>(phase);
  const auto share = static_cast<float>(phase - static_cast<double>(row));
  const float * taps = phases_.data() + row * kTaps;
  const float below = dot(taps, around, kTaps);
  return below + share * (dot(taps + kTaps, around, kTaps) - below);
}

int64_t DelayLine::read(double start, double step, int64_t n, float * out) noexcept {
  const double last = start + step * static_cast<double>(n - 1);
  const auto whole = static_cast<int64_t>(std::floor(start));
  if (step == 1.0 && start == static_cast<double>(whole)) {
    copy(whole, n, out);
  } else {
    const int64_t first = whole - kLookahead + 1;
    copy(first, static_cast<int64_t>(std::floor(last)) + kLookahead + 1 - first, span_.data());
    for (int64_t i = 0; i < n; ++i) {
      const double position = start + step * static_cast<double>(i);
      const double floor = std::floor(position);
      out[i] = interpolate(span_.data() + (static_cast<int64_t>(floor) - whole), position - floor);
    }
  }
  const double beyond = last - static_cast<double>(written_ - 1);
  return std::clamp(static_cast<int64_t>(std::ceil(beyond / step)), int64_t{0}, n);
}

}  // namespace voxhop
