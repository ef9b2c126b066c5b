#include "stream/declipper.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace voxhop {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kPastSeconds = 0.024, kOrderSeconds = 0.002;
constexpr int64_t kLeastOrder = 16, kMostOrder = 64;
constexpr double kLowest = 0.01;  // below it steps of 16 bits are flat by themselves
constexpr double kFall = 5.0 * ClipLevel::kTolerance;
constexpr int64_t kRuns = 3, kManyRuns = 1000;
constexpr int kRounds = 2;
constexpr double kMostShare = 0.9;
constexpr int64_t kMostUnknown = 1024;
constexpr double kMostGain = 3.0;
constexpr double kWhite = 1e-4, kRidge = 1e-9, kSilence = 1e-10;

int64_t samples_of(double seconds, int64_t rate) {
  return std::llround(seconds * static_cast<double>(rate));
}

}  // namespace

void ClipLevel::add(const float * in, int64_t n, double sign) noexcept {
  double top = 0.0;
  for (int64_t i = 0; i < n; ++i) top = std::max(top, sign * static_cast<double>(in[i]));
  if (top > top_ + kTolerance) {
    top_ = top;
    runs_ = idle_ = 0;
  }
  const double near = top_ - kTolerance, low = top_ - kFall;
  const auto at = [&](int64_t i) { return sign * static_cast<double>(in[i]); };
  int64_t runs = 0;
  for (int64_t i = 1; i < n; ++i) {
    if (at(i) < near || at(i - 1) >= low) continue;
    const int64_t first = i;
    while (i < n && at(i) >= near) ++i;
    if (i < n && i - first >= 2 && at(i) < low) ++runs;
  }
  if (runs > 0) {
    runs_ = std::min(runs_ + runs, kManyRuns);
    idle_ = 0;
    return;
  }
  idle_ += n;
  if (idle_ > most_idle_) reset();
}

double ClipLevel::level() const noexcept {
  return runs_ >= kRuns && top_ >= kLowest ? top_ : std::numeric_limits<double>::infinity();
}

Declipper::Declipper(int64_t rate, int64_t most)
    : past_(samples_of(kPastSeconds, rate)),
      order_(std::clamp(samples_of(kOrderSeconds, rate), kLeastOrder, kMostOrder)),
      levels_{ClipLevel(rate), ClipLevel(rate)} {
  const auto all = static_cast<size_t>(past_ + most), taps = static_cast<size_t>(order_ + 1);
  const auto unknowns = static_cast<size_t>(std::min(most, kMostUnknown));
  for (auto * buffer : {&x_, &hann_, &windowed_, &residual_}) buffer->resize(all);
  a_.resize(taps);
  r_.resize(taps);
  lags_.resize(taps * taps);
  unknown_.resize(unknowns);
  bound_.resize(unknowns);
  found_.resize(unknowns);
  band_.resize(unknowns * taps);
}

void Declipper::reset() noexcept {
  for (ClipLevel & level : levels_) level.reset();
  std::fill(x_.begin(), x_.end(), 0.0);
}

int64_t Declipper::process(float * samples, int64_t n) noexcept {
  std::copy_n(samples, n, x_.begin() + past_);
  const int64_t m = find_cut(samples, n);
  for (int round = 0; m > 0 && round < kRounds && fit(n); ++round) {
    solve(m, n);
    for (int64_t i = 0; i < m; ++i) {
      const auto at = static_cast<size_t>(i);
      const double sign = bound_[at] < 0.0 ? -1.0 : 1.0, level = std::abs(bound_[at]);
      const double value = sign * std::clamp(sign * found_[at], level, kMostGain * level);
      x_[static_cast<size_t>(unknown_[at])] = value;
      samples[unknown_[at] - past_] = static_cast<float>(value);
    }
  }
  std::copy_n(x_.begin() + n, past_, x_.begin());
  return m;
}

// Which samples of the block are cut, and where. None where too many are to be told.
int64_t Declipper::find_cut(const float * samples, int64_t n) noexcept {
  levels_[0].add(samples, n, 1.0);
  levels_[1].add(samples, n, -1.0);
  const double above = levels_[0].level(), below = levels_[1].level();
  const auto most = static_cast<int64_t>(kMostShare * static_cast<double>(n));
  int64_t m = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double x = static_cast<double>(samples[i]);
    const bool high = x >= above - ClipLevel::kTolerance;
    if (!high && -x < below - ClipLevel::kTolerance) continue;
    if (m == std::min(most, static_cast<int64_t>(unknown_.size()))) return 0;
    unknown_[static_cast<size_t>(m)] = past_ + i;
    bound_[static_cast<size_t>(m)] = high ? above : -below;
    ++m;
  }
  return m;
}

// The autoregression of the past and a block of n, by Levinson and Durbin. False of silence.
bool Declipper::fit(int64_t n) noexcept {
  const int64_t all = past_ + n;
  if (shaped_ != all) {
    for (int64_t i = 0; i < all; ++i) {
      const double turn = 2.0 * kPi * (static_cast<double>(i) + 0.5) / static_cast<double>(all);
      hann_[static_cast<size_t>(i)] = 0.5 - 0.5 * std::cos(turn);
    }
    shaped_ = all;
  }
  for (size_t i = 0; i < static_cast<size_t>(all); ++i) windowed_[i] = hann_[i] * x_[i];
  // Sums side by side, from the largest lag on: that is what a compiler makes vectors of.
  const auto order = static_cast<size_t>(order_);
  std::fill(lags_.begin(), lags_.begin() + order_ + 1, 0.0);
  for (size_t i = 0; i < static_cast<size_t>(all); ++i) {
    const size_t from = i < order ? order - i : 0;
    const double w = windowed_[i];
    const double * earlier = windowed_.data() + i + from - order;
    for (size_t k = from; k <= order; ++k) lags_[k] += w * earlier[k - from];
  }
  for (size_t k = 0; k <= order; ++k) r_[k] = lags_[order - k];
  if (r_[0] < kSilence) return false;
  r_[0] *= 1.0 + kWhite;
  std::fill(a_.begin(), a_.end(), 0.0);
  a_[0] = 1.0;
  double error = r_[0];
  for (size_t k = 1; k < a_.size(); ++k) {
    double sum = 0.0;
    for (size_t j = 0; j < k; ++j) sum += a_[j] * r_[k - j];
    const double reflection = -sum / error;
    for (size_t j = 1; 2 * j <= k; ++j) {
      const double one = a_[j], other = a_[k - j];
      a_[j] = one + reflection * other;
      a_[k - j] = other + reflection * one;
    }
    a_[k] = reflection;
    error *= 1.0 - reflection * reflection;
  }
  return true;
}

// Least residual from the first unknown sample to the end of the block. The normal matrix
//   G_ij = sum_n a_{n - u_i} a_{n - u_j}
// has nothing where samples lie further apart than the order, and depends on their distance and
// on how many rows follow the later of them alone: lags_[L][d] = sum_{k < L} a_k a_{k + d}.
void Declipper::solve(int64_t m, int64_t n) noexcept {
  const auto taps = static_cast<size_t>(order_ + 1), count = static_cast<size_t>(m);
  const int64_t first = unknown_[0], end = past_ + n;
  for (size_t d = 0; d < taps; ++d) {
    double sum = 0.0;
    for (size_t k = 0; k < taps; ++k) {
      if (k + d < taps) sum += a_[k] * a_[k + d];
      lags_[k * taps + d] = sum;
    }
  }
  for (size_t i = 0; i < count; ++i) x_[static_cast<size_t>(unknown_[i])] = 0.0;
  std::fill(residual_.begin() + first, residual_.begin() + end, 0.0);
  for (size_t k = 0; k < taps; ++k) {
    const double tap = a_[k];
    for (size_t t = static_cast<size_t>(first); t < static_cast<size_t>(end); ++t) {
      residual_[t] += tap * x_[t - k];
    }
  }
  // Row i of the lower triangle: column j at band_[i][order - (i - j)], as far as it reaches.
  for (size_t i = 0; i < count; ++i) {
    const auto u = static_cast<size_t>(unknown_[i]);
    const size_t rows = std::min(static_cast<size_t>(end) - u, taps);
    double * row = &band_[i * taps];
    std::fill_n(row, taps, 0.0);
    for (size_t back = 0; back < taps && back <= i; ++back) {
      const size_t d = u - static_cast<size_t>(unknown_[i - back]);
      if (d >= taps) break;
      row[taps - 1 - back] = lags_[(rows - 1) * taps + d];
    }
    row[taps - 1] += kRidge;
    double sum = 0.0;
    for (size_t k = 0; k < rows; ++k) sum += a_[k] * residual_[u + k];
    found_[i] = -sum;
  }
  // Cholesky, then both triangles.
  for (size_t i = 0; i < count; ++i) {
    double * row = &band_[i * taps];
    const size_t left = i < taps ? 0 : i + 1 - taps;
    for (size_t j = left; j <= i; ++j) {
      const double * other = &band_[j * taps];
      const size_t from = std::max(left, j < taps ? 0 : j + 1 - taps);
      double sum = row[taps - 1 - (i - j)];
      for (size_t k = from; k < j; ++k) {
        sum -= row[taps - 1 - (i - k)] * other[taps - 1 - (j - k)];
      }
      row[taps - 1 - (i - j)] = j == i ? std::sqrt(sum) : sum / other[taps - 1];
    }
  }
  for (size_t i = 0; i < count; ++i) {
    const double * row = &band_[i * taps];
    double sum = found_[i];
    for (size_t j = i < taps ? 0 : i + 1 - taps; j < i; ++j) {
      sum -= row[taps - 1 - (i - j)] * found_[j];
    }
    found_[i] = sum / row[taps - 1];
  }
  for (size_t i = count; i-- > 0;) {
    double sum = found_[i];
    for (size_t j = i + 1; j < count && j - i < taps; ++j) {
      sum -= band_[j * taps + taps - 1 - (j - i)] * found_[j];
    }
    found_[i] = sum / band_[i * taps + taps - 1];
  }
}

}  // namespace voxhop
