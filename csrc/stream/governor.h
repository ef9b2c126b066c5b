// How much of a model this machine can afford right now.
#pragma once

#include <cstddef>
#include <vector>

namespace voxhop {

/// Chooses among sizes of a network, 0 the largest, by how long hops take.
/// Two hops that are late within a second, or nearly: one size down. Grown back after 5 s in which
/// the next larger one would have fitted with room to spare; where that turns out wrong within
/// 10 s, the next try waits twice as long, up to 80 s, so that a machine at its limit is not tried
/// over and over.
/// State: the present size, lateness, the peak of the load, time since the last change.
class Governor {
 public:
  /// costs: of each size relative to the first, falling; at least one. hop_seconds: of a hop.
  Governor(std::vector<double> costs, double hop_seconds);

  void reset() noexcept;

  /// Takes how long a hop took; returns the size for the next.
  size_t next(double seconds) noexcept;

  size_t size() const noexcept { return size_; }

 private:
  void change(size_t size) noexcept;

  std::vector<double> costs_;
  double hop_s_;
  size_t size_ = 0;
  double late_ = 0.0;     // late hops, forgotten over a second
  double peak_ = 0.0;     // of the share of a hop's time that is spent; falls slowly
  double calm_s_ = 0.0;   // since the last change or late hop
  double since_s_ = 0.0;  // since it grew
  double patience_s_;
};

}  // namespace voxhop
