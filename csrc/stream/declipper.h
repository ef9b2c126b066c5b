// What a clipped microphone would have said, told by the samples around.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace voxhop {

/// The level that one polarity is cut at, if it is: the largest sample of the last second, where
/// three stretches of two or more samples lie within two steps of 16 bits of it, and fall by ten on
/// both sides: peaks that are round by themselves do not.
/// State: that sample, how many such stretches there were, how long ago the last one was.
class ClipLevel {
 public:
  explicit ClipLevel(int64_t rate) : most_idle_(rate) {}

  void reset() noexcept {
    top_ = 0.0;
    runs_ = idle_ = 0;
  }

  /// n samples of `sign` times the sound.
  void add(const float * in, int64_t n, double sign) noexcept;

  /// Infinite where nothing is cut.
  double level() const noexcept;

  static constexpr double kTolerance = 2.01 / 32768.0;

 private:
  int64_t most_idle_;
  double top_ = 0.0;
  int64_t runs_ = 0, idle_ = 0;
};

/// Restores cut samples block by block, without a delay. In a block of samples x, whose cut
/// ones U are unknown but for a bound, the residual of an autoregression over the block and 24 ms
/// before it,
///   E = sum_n (sum_k a_k x_{n-k})^2,    a_0 = 1, k = 0 to p,
/// is least in U for given a (A. Janssen, R. Veldhuis, L. Vries, 1986), and a is the
/// autoregression of x (its autocorrelation, Hann). Two rounds of both; what falls short of the
/// level that it was cut at is put there. Sound that is not cut passes to the bit.
/// State: the two levels, and the restored samples of the last 24 ms.
class Declipper {
 public:
  /// `rate` in Hz, `most` the samples of the largest block.
  Declipper(int64_t rate, int64_t most);

  void reset() noexcept;

  /// One block of n <= most samples, in place; it depends on where blocks begin. Returns how many
  /// samples were restored.
  int64_t process(float * samples, int64_t n) noexcept;

 private:
  int64_t find_cut(const float * samples, int64_t n) noexcept;
  bool fit(int64_t n) noexcept;
  void solve(int64_t m, int64_t n) noexcept;

  int64_t past_, order_;
  std::array<ClipLevel, 2> levels_;  // above, below
  std::vector<double> x_;            // the past, and the block
  std::vector<double> hann_, windowed_, residual_;
  int64_t shaped_ = 0;                // samples that hann_ is for
  std::vector<double> a_, r_, lags_;  // lags_: (order + 1, order + 1), see solve()
  std::vector<int64_t> unknown_;      // indices into x_, ascending
  std::vector<double> bound_, found_;
  std::vector<double> band_;  // (unknown, order + 1): rows of the normal matrix, then its factor
};

}  // namespace voxhop
