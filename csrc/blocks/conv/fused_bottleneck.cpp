// The whole bottleneck as one op: its maps stay in the cache.
#include <algorithm>
#include <cstring>

#include "blocks/fused_blocks.h"

namespace voxhop {
namespace fused {
namespace {

// A depthwise convolution with its past rows, padded on both sides, in the stream's state: a
// ring whose oldest row the newest replaces.
class DepthwiseRing {
 public:
  DepthwiseRing(HopBuilder & b, const Target & target, const std::string & name,
                const Depthwise & conv, int64_t bins)
      : kernels_(target.kernels), past_(static_cast<int>(conv.times()) - 1) {
    args_.n_taps = static_cast<int>(conv.times());
    args_.k_bins = static_cast<int>(conv.bins());
    args_.bins = static_cast<int>(bins);
    args_.channels = static_cast<int>(conv.channels());
    const int width = kernels_->width, rows = args_.n_taps * args_.k_bins;
    const int phase = kernels::depthwise_phases(args_.channels, width) * width;
    args_.weights = b.weights().floats(
        conv.weight.name + "/depthwise", static_cast<size_t>(phase * rows), [&](float * out) {
          const auto at = [&](int i, int c) {
            return conv.at(i / args_.k_bins, i % args_.k_bins, c);
          };
          kernels::pack_depthwise(rows, args_.channels, width, at, out);
        });
    args_.bias = b.weights().floats(
        conv.bias.name + "/depthwise", static_cast<size_t>(phase), [&](float * out) {
          kernels::pack_depthwise(
              1, args_.channels, width, [&](int, int c) { return conv.bias.data[c]; }, out);
        });
    slot_ = b.exclusive(name, kAlignment + static_cast<size_t>(past_) * row_bytes());
  }

  /// Floats of a padded row, and where in it the first bin is.
  size_t row_floats() const {
    return static_cast<size_t>((args_.bins + args_.k_bins - 1) * args_.channels);
  }
  int first() const { return args_.k_bins / 2 * args_.channels; }

  /// `newest`: a padded row, the padding zero. Puts it into the state.
  void run(const HopContext & context, const float * newest, float * out) const {
    kernels::DepthwiseArgs a = args_;
    auto * oldest = slot_.in<uint32_t>(context);
    const uint32_t start = past_ > 0 ? *oldest % static_cast<uint32_t>(past_) : 0;
    for (int i = 0; i < past_; ++i) a.rows[i] = row(context, static_cast<int>(start) + i);
    a.rows[past_] = newest;
    a.out = out;
    kernels_->depthwise(a);
    if (past_ == 0) return;
    std::memcpy(row(context, static_cast<int>(start)), newest, row_bytes());
    *oldest = (start + 1) % static_cast<uint32_t>(past_);
  }

 private:
  size_t row_bytes() const { return row_floats() * sizeof(float); }
  float * row(const HopContext & context, int i) const {
    return reinterpret_cast<float *>(slot_.in<std::byte>(context) + kAlignment +
                                     static_cast<size_t>(i % past_) * row_bytes());
  }

  const kernels::KernelTable * kernels_;
  int past_;
  kernels::DepthwiseArgs args_;
  ExclusiveSlot slot_;
};

class BottleneckOp final : public CustomOp {
 public:
  BottleneckOp(HopBuilder & b, const Target & target, const Bottleneck & block, int64_t bins)
      : kernels_(target.kernels),
        inner_(b, target, "inner", block.inner, bins),
        outer_(b, target, "outer", block.outer, bins),
        gain_(packed_copy(b, block.norm.gain)),
        eps_(block.norm.eps),
        bins_(static_cast<int>(bins)),
        C_(static_cast<int>(block.inner.channels())),
        H_(static_cast<int>(block.outer.channels())),
        wide_(kernels::kOctet * kernels::octets_of(H_)),
        gate_(half_of(b, target, block.expand, 0)),
        value_(half_of(b, target, block.expand, 1)),
        project_(
            b, exact(target), block.project.weight.name, H_, C_,
            [&](int k, int c) { return double{block.project.weight.data[c * H_ + k]}; },
            [&](int c) { return double{block.project.bias.data[c]}; }) {
    b.shared_scratch(scratch_floats() * sizeof(float));
  }

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const float * x = data_of(dst->src[0]);
    const auto maps = static_cast<size_t>(bins_);
    auto * row = reinterpret_cast<float *>(context.scratch);  // padded, of either convolution
    float * map = row + std::max(inner_.row_floats(), outer_.row_floats());
    float * gates = map + maps * static_cast<size_t>(std::max(C_, H_));
    float * values = gates + maps * static_cast<size_t>(wide_);

    std::memset(row, 0, inner_.row_floats() * sizeof(float));
    std::memcpy(row + inner_.first(), x, maps * static_cast<size_t>(C_) * sizeof(float));
    inner_.run(context, row, map);
    kernels_->rms_norm({map, bins_, C_, gain_, eps_, map});
    expand(gate_, map, kernels::Act::kGelu, gates);
    expand(value_, map, kernels::Act::kNone, values);

    std::memset(row, 0, outer_.row_floats() * sizeof(float));
    multiply(gates, values, row + outer_.first());
    outer_.run(context, row, map);
    kernels::ConvArgs a = project_.args();
    a.taps[0] = map;
    a.end = bins_;
    a.residual = x;
    a.out = out_of(dst);
    project_.run(a);
  }

 private:
  static Target exact(const Target & target) {
    Target f32 = target;
    f32.precision = Precision::kF32;
    return f32;
  }

  Dense half_of(HopBuilder & b, const Target & target, const Linear & expand, int half) const {
    const int first = half * H_;
    return Dense(
        b, exact(target), expand.weight.name + "/" + std::to_string(half), C_, H_,
        [&](int k, int c) { return double{expand.weight.data[(first + c) * C_ + k]}; },
        [&](int c) { return double{expand.bias.data[first + c]}; });
  }

  size_t scratch_floats() const {
    return std::max(inner_.row_floats(), outer_.row_floats()) +
           static_cast<size_t>(bins_) * static_cast<size_t>(std::max(C_, H_) + 2 * wide_);
  }

  // Whole octets per bin are written, wide_ floats apart.
  void expand(const Dense & dense, const float * map, kernels::Act act, float * out) const {
    kernels::ConvArgs a = dense.args();
    a.taps[0] = map;
    a.end = bins_;
    a.act = act;
    a.out = out;
    a.out_step = wide_;
    a.whole_octets = true;
    dense.run(a);
  }

  void multiply(const float * gates, const float * values, float * out) const {
    for (int bin = 0; bin < bins_; ++bin) {
      for (int c = 0; c < H_; ++c) out[c] = gates[c] * values[c];
      gates += wide_;
      values += wide_;
      out += H_;
    }
  }

  const kernels::KernelTable * kernels_;
  DepthwiseRing inner_, outer_;
  const float * gain_;
  float eps_;
  int bins_, C_, H_, wide_;
  Dense gate_, value_, project_;
};

}  // namespace
}  // namespace fused

ggml_tensor * FusedBlocks::bottleneck(HopBuilder & b, const Bottleneck & block,
                                      ggml_tensor * x) const {
  const HopBuilder::Scope scope(b, block.name);
  return b.custom(std::make_unique<fused::BottleneckOp>(b, target_, block, x->ne[1]),
                  {x->ne[0], x->ne[1]}, {x});
}

}  // namespace voxhop
