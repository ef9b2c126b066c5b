// What happens to rows of bins between convolutions: maps, sums, resampling.
#include "blocks/fused_blocks.h"

namespace voxhop {
namespace fused {
namespace {

class SiluMapOp final : public CustomOp {
 public:
  SiluMapOp(const kernels::KernelTable * table, const kernels::BandMapArgs & args)
      : kernels_(table), args_(args) {}

  void run(const HopContext & /*context*/, ggml_tensor * dst) noexcept override {
    kernels::BandMapArgs a = args_;
    a.x = data_of(dst->src[0]);
    a.out = out_of(dst);
    kernels_->silu_map(a);
  }

 private:
  const kernels::KernelTable * kernels_;
  kernels::BandMapArgs args_;
};

class SumOp final : public CustomOp {
 public:
  SumOp(const kernels::KernelTable * table, float scale) : kernels_(table), scale_(scale) {}

  void run(const HopContext & /*context*/, ggml_tensor * dst) noexcept override {
    kernels_->sum(data_of(dst->src[0]), data_of(dst->src[1]), scale_, out_of(dst),
                  static_cast<int>(ggml_nelements(dst)));
  }

 private:
  const kernels::KernelTable * kernels_;
  float scale_;
};

class ResampleOp final : public CustomOp {
 public:
  explicit ResampleOp(void (*kernel)(const kernels::BinsArgs & args)) : run_(kernel) {}

  void run(const HopContext & /*context*/, ggml_tensor * dst) noexcept override {
    const ggml_tensor * x = dst->src[0];
    run_({data_of(x), static_cast<int>(x->ne[1]), static_cast<int>(x->ne[0]), out_of(dst)});
  }

 private:
  void (*run_)(const kernels::BinsArgs & args);
};

}  // namespace

kernels::BandMapArgs map_args(HopBuilder & b, const BandMap & map, int64_t bins) {
  kernels::BandMapArgs a;
  a.bins = static_cast<int>(bins);
  a.channels = static_cast<int>(map.scale.ne[0]);
  a.bands = static_cast<int>(BandMap::bands(bins));
  a.scale = packed_copy(b, map.scale);
  a.shift = packed_copy(b, map.shift);
  return a;
}

}  // namespace fused

ggml_tensor * FusedBlocks::silu_map(HopBuilder & b, const BandMap & map, ggml_tensor * x) const {
  return b.custom(
      std::make_unique<fused::SiluMapOp>(target_.kernels, fused::map_args(b, map, x->ne[1])),
      {x->ne[0], x->ne[1]}, {x});
}

ggml_tensor * FusedBlocks::sum(HopBuilder & b, ggml_tensor * x, ggml_tensor * y,
                               float scale) const {
  return b.custom(std::make_unique<fused::SumOp>(target_.kernels, scale), {x->ne[0], x->ne[1]},
                  {x, y});
}

ggml_tensor * FusedBlocks::halve_bins(HopBuilder & b, ggml_tensor * x) const {
  return b.custom(std::make_unique<fused::ResampleOp>(target_.kernels->halve_bins),
                  {x->ne[0], x->ne[1] / 2}, {x});
}

ggml_tensor * FusedBlocks::double_bins(HopBuilder & b, ggml_tensor * x) const {
  return b.custom(std::make_unique<fused::ResampleOp>(target_.kernels->double_bins),
                  {x->ne[0], x->ne[1] * 2}, {x});
}

}  // namespace voxhop
