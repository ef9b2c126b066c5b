// How the outputs of a kernel are shared among the threads of a session: the same panels of
// weights to the same thread in every hop.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/hop_builder.h"
#include "core/worker_pool.h"
#include "kernels/kernels.h"

namespace voxhop::fused {

/// A rectangle of a kernel's outputs; octets from one border of panels to another.
struct Region {
  int first_octet = 0, end_octet = 0;
  int begin = 0, end = 0;  // bins
};

/// Outputs of `octets` and `bins`, the same `groups` times, as one line of work: group after
/// group, in it panel after panel, in it bin after bin.
class WorkLine {
 public:
  WorkLine(int groups, int octets, int max_octets, int bins)
      : groups_(groups), octets_(octets), max_octets_(max_octets), bins_(bins) {}

  /// Calls fn(group, region) for what lies in piece `piece` of `pieces` equal ones.
  template <class Fn>
  void regions(int piece, int pieces, Fn fn) const {
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
  int bin_at(int64_t work, int wide) const {
    const int step = bins_ >= 32 ? 8 : bins_ >= 8 ? 4 : 1;
    const int64_t unit = int64_t{wide} * step;
    const int64_t bin = work <= 0 ? 0 : (work + unit / 2) / unit * step;
    return static_cast<int>(std::min<int64_t>(bin, bins_));
  }

  int groups_, octets_, max_octets_, bins_;
};

/// Calls task(piece, pieces, worker, first) for equal pieces of a job on the session's threads;
/// `first`: this thread has done none of it yet. One piece of one when there is one thread.
template <class Task>
void share(const HopContext & context, int pieces_each, Task task) {
  if (context.workers == nullptr) {
    task(0, 1, 0, true);
    return;
  }
  const int pieces = pieces_each * context.workers->size();
  context.workers->run(pieces, [&](const WorkerPool::Turn & turn) {
    task(turn.chunk, pieces, turn.worker, turn.first);
  });
}

/// Element `piece` of `count` in `pieces` equal parts, in whole steps.
inline int cut(int count, int step, int piece, int pieces) {
  const int steps = (count + step - 1) / step;
  return std::min(count, static_cast<int>(int64_t{steps} * piece / pieces) * step);
}

}  // namespace voxhop::fused
