// Linear layers and norms on our kernels.
#pragma once

#include <vector>

#include "blocks/dense/linear.h"
#include "blocks/fused_target.h"

namespace voxhop::fused {

/// A linear layer whose weights are packed once for the whole matrix, segment by segment, so
/// that every prefix of its inputs and segments is read where it lies.
class PrefixDense {
 public:
  PrefixDense(HopBuilder & b, const Target & target, const Linear & linear);

  /// x (inputs, columns) -> out (outputs, columns); `residual` like out, or null.
  void run(const float * x, int inputs, int columns, kernels::Act act, const float * residual,
           float * out) const;
  int outputs() const { return outputs_; }

 private:
  struct Segment {
    const void * weights;
    const float * bias;
  };
  kernels::ConvKernel kernel_;
  std::vector<Segment> segments_;
  int packed_inputs_, rows_, outputs_;
};

}  // namespace voxhop::fused
