// What a fused set computes with, and the small things its blocks share.
#pragma once

#include <optional>
#include <string>

#include "blocks/block_set.h"
#include "blocks/fused_share.h"
#include "kernels/kernels.h"
#include "kernels/pack.h"

namespace voxhop::fused {

enum class Precision { kF32, kF16, kBf16, kInt8 };

struct Target {
  const kernels::KernelTable * kernels = nullptr;
  Precision precision = Precision::kF32;
  bool winograd = true;

  /// Reduced precisions keep the aligner's frames, and weights outside the 4x4
  /// convolutions, in f16.
  bool half_weights() const { return precision != Precision::kF32; }
};

kernels::Act act_of(Activation activation);

/// A matrix (k, c_out) with a bias, packed in f32 or f16: 1x1 convolutions, the
/// recurrence's projections, dense filterbanks.
class Dense {
 public:
  /// `weight(k, c)` and `bias(c)` are called when the model has no packed copy yet.
  template <class At, class Bias>
  Dense(HopBuilder & b, const Target & target, const std::string & key, int k, int c_out, At weight,
        Bias bias)
      : Dense(target, k, c_out) {
    weights_ = b.weights().get(key + "/dense", weight_bytes(), [&](void * out) {
      if (half_) {
        kernels::pack_f16(k, c_out, kernel_.max_octets, weight, static_cast<uint16_t *>(out));
      } else {
        kernels::pack_f32(k, c_out, kernel_.max_octets, weight, static_cast<float *>(out));
      }
    });
    bias_ = b.weights().floats(key + "/dense_bias", padded(), [&](float * out) {
      for (int c = 0; c < c_out; ++c) out[c] = static_cast<float>(bias(c));
    });
  }

  /// Arguments for `taps` rows of k / taps elements each, without input and output.
  kernels::ConvArgs args(int taps = 1) const;
  void run(const kernels::ConvArgs & args) const { kernel_.run(args); }
  /// The same on all threads of the session; `enter(piece, args)` gives a thread its
  /// input, which it may make the first time.
  template <class Enter>
  void run(const HopContext & context, const kernels::ConvArgs & args, Enter enter) const {
    const WorkLine line(1, kernels::octets_of(c_out_), kernel_.max_octets, args.end,
                        args.end >= kManyBins);
    const bool pays = int64_t{k_} * c_out_ * args.end >= kLeastMacs;
    share(context, pays ? 1 : 0, [&](const Piece & piece) {
      kernels::ConvArgs a = args;
      enter(piece, a);
      line.regions(piece.at, piece.of, [&](int, const Region & region) {
        a.first_octet = region.first_octet;
        a.end_octet = region.end_octet;
        a.begin = region.begin;
        a.end = region.end;
        kernel_.run(a);
      });
    });
  }
  /// With an input that is there.
  void run(const HopContext & context, const kernels::ConvArgs & args) const {
    run(context, args, [](const Piece &, kernels::ConvArgs &) {});
  }

 private:
  Dense(const Target & target, int k, int c_out);
  size_t padded() const;
  size_t weight_bytes() const;

  kernels::ConvKernel kernel_;
  const void * weights_ = nullptr;
  const float * bias_ = nullptr;
  bool half_;
  int k_;
  int c_out_;
};

/// A block's norm with its two vectors, or a plain copy.
class RowNorm {
 public:
  RowNorm(HopBuilder & b, const Target & target, const std::optional<Norm> & norm);
  /// x (bins, channels) -> out, same shape.
  void run(const ggml_tensor * x, float * out) const;

 private:
  const kernels::KernelTable * kernels_;
  const float * gain_ = nullptr;
  const float * bias_ = nullptr;
};

/// Arguments of KernelTable::silu_map without input and output.
kernels::BandMapArgs map_args(HopBuilder & b, const BandMap & map, int64_t bins);

/// `count` floats of a weight, copied into the arena so that a hop reads one stretch of
/// memory.
const float * packed_copy(HopBuilder & b, const Weight & weight);

inline const float * data_of(const ggml_tensor * t) {
  return static_cast<const float *>(t->data);
}
inline float * out_of(ggml_tensor * t) {
  return static_cast<float *>(t->data);
}

}  // namespace voxhop::fused
