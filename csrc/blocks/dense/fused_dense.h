// Linear layers and norms on our kernels.
#pragma once

#include <cstddef>
#include <vector>

#include "blocks/dense/linear.h"
#include "blocks/fused_target.h"

namespace voxhop::fused {

/// x (inputs, columns) -> out (outputs, columns) with `act`; `residual` like out, or null; `scale`
/// of the sum with it. `narrow` is free memory of PrefixDense::narrow_bytes().
struct DenseCall {
  const float * x = nullptr;
  int columns = 1;
  kernels::Act act = kernels::Act::kNone;
  const float * residual = nullptr;
  float * out = nullptr;
  std::byte * narrow = nullptr;
  float scale = 1.0f;
};

/// A linear layer whose weights are packed once for the whole matrix, segment by segment, so
/// that every prefix of its inputs and segments is read where it lies. In bf16 and int8 the
/// columns are narrowed as they come, int8 with a scale per column and per output; widths that
/// are no multiple of what these kernels read at once (2, 4) stay in f16.
class PrefixDense {
 public:
  /// Takes the first `inputs` channels.
  PrefixDense(HopBuilder & b, const Target & target, const Linear & linear, int64_t inputs);

  /// Free memory that run() needs for so many columns.
  size_t narrow_bytes(int columns) const;
  void run(const DenseCall & call) const;
  int outputs() const { return outputs_; }

 private:
  struct Segment {
    const void * weights;
    const float * bias;
    const float * channel_scale;  // int8
    const int32_t * offset;
  };
  void choose_kernel(const Target & target);
  void pack(const float * rows, std::byte * out) const;
  void narrow(const DenseCall & call, kernels::ConvArgs & args) const;
  size_t padded() const { return static_cast<size_t>(kernels::kOctet * kernels::octets_of(rows_)); }

  const kernels::KernelTable * kernels_;
  Precision precision_;  // of this layer
  kernels::ConvKernel kernel_;
  std::vector<Segment> segments_;
  int packed_inputs_, inputs_, rows_, outputs_;
};

}  // namespace voxhop::fused
