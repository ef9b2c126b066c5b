// How the outputs of a kernel are shared among the threads of a session: the same panels of
// weights to the same thread in every hop.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/hop_builder.h"
#include "core/worker_pool.h"
#include "kernels/kernels.h"

namespace voxhop::fused {

/// Where part `piece` of `pieces` of `count` begins, in whole steps.
inline int cut(int count, int step, int piece, int pieces) {
  const int steps = (count + step - 1) / step;
  return std::min(count, static_cast<int>(int64_t{steps} * piece / pieces) * step);
}

/// A rectangle of a kernel's outputs; octets from one border of panels to another.
struct Region {
  int first_octet = 0, end_octet = 0;
  int begin = 0, end = 0;  // bins
};

/// Bins that outweigh the weights.
constexpr int kManyBins = 64;

/// Outputs of `octets` and `bins`, the same `groups` times, to be divided into pieces of equal
/// work.
///
/// Few bins are divided by panels: most of the time goes into reading weights, and every thread
/// reads its own. Many bins are divided by bins: rows outweigh weights, and what a thread wrote
/// it reads again in the next block.
class WorkLine {
 public:
  WorkLine(int groups, int octets, int max_octets, int bins, bool by_bins)
      : groups_(groups), octets_(octets), max_octets_(max_octets), bins_(bins), by_bins_(by_bins) {}

  /// The bins that a piece needs of what goes in.
  Region rows(int piece, int pieces) const {
    if (!by_bins_) return {0, octets_, 0, bins_};
    return {0, octets_, cut(bins_, step(), piece, pieces), cut(bins_, step(), piece + 1, pieces)};
  }

  /// Calls fn(group, region) for what lies in piece `piece` of `pieces`.
  template <class Fn>
  void regions(int piece, int pieces, Fn fn) const {
    if (by_bins_) {
      for (int group = 0; group < groups_; ++group) {
        const Region r = rows(piece, pieces);
        if (r.begin < r.end) fn(group, r);
      }
      return;
    }
    // One line of work: group after group, in it panel after panel, in it bin after bin.
    const int64_t all = int64_t{groups_} * octets_ * bins_;
    const int64_t from = all * piece / pieces, to = all * (piece + 1) / pieces;
    int64_t at = 0;
    for (int group = 0; group < groups_; ++group) {
      Region whole;  // panels that follow each other and are all the piece's
      for (int octet = 0; octet < octets_;) {
        const int wide = kernels::next_panel(octets_ - octet, max_octets_);
        const Region r{octet, octet + wide, bin_at(from - at, wide), bin_at(to - at, wide)};
        if (r.begin == 0 && r.end == bins_) {
          if (whole.end_octet == 0) whole = r;
          whole.end_octet = r.end_octet;
        } else if (r.begin < r.end) {
          fn(group, r);
        }
        octet += wide;
        at += int64_t{wide} * bins_;
      }
      if (whole.end_octet > 0) fn(group, whole);
    }
  }

 private:
  // Whole tiles of every kernel where there are many, halves of them where there are few.
  int step() const { return bins_ >= 32 ? 8 : bins_ >= 8 ? 4 : 1; }
  int bin_at(int64_t work, int wide) const {
    const int64_t unit = int64_t{wide} * step();
    const int64_t bin = work <= 0 ? 0 : (work + unit / 2) / unit * step();
    return static_cast<int>(std::min<int64_t>(bin, bins_));
  }

  int groups_, octets_, max_octets_, bins_;
  bool by_bins_;
};

/// One of `of` pieces of a job.
struct Piece {
  int at = 0, of = 1;
  int worker = 0;
  bool first = true;  // of this thread
};

/// Multiply-adds from which sharing saves more than the two to three microseconds that publishing a
/// job, waiting for it and fetching each other's rows take; of 8 and 16 bits.
constexpr int64_t kLeastMacs = 100000;
constexpr int64_t kLeastNarrowMacs = 2500000;

/// Calls task(piece) for `each` pieces per thread of the session; once where there is one thread,
/// or none of them is asked for.
template <class Task>
void share(const HopContext & context, int each, Task task) {
  if (context.workers == nullptr || each == 0) {
    task(Piece{});
    return;
  }
  const int pieces = each * context.workers->size();
  context.workers->run(pieces, [&](const WorkerPool::Turn & turn) {
    task(Piece{turn.chunk, pieces, turn.worker, turn.first});
  });
}

}  // namespace voxhop::fused
