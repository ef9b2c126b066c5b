// The 3x3 causal convolution: what a row is before it enters, and few outputs.
#include <cstring>

#include "blocks/fused_blocks.h"
#include "blocks/fused_conv.h"

namespace voxhop {
namespace fused {
namespace {

constexpr int kTaps = Conv3x3::kTaps;

// Channels that a tile is well filled with. Fewer outputs are computed for several bins at a time,
// as if those were channels: more products with zero, and far fewer of vectors that are empty.
constexpr int kFullChannels = 16;

int bins_at_once(const Conv3x3 & conv, int64_t bins) {
  if (conv.exact || conv.after) return 1;
  int n = 1;
  while (2 * n * conv.c_out <= kFullChannels && bins % (2 * n) == 0) n *= 2;
  return n;
}

// src: x, and the residual if there is one.
class Conv3x3Op final : public CustomOp {
 public:
  Conv3x3Op(HopBuilder & b, const Target & target, const Conv3x3 & conv, int64_t bins, float scale)
      : kernels_(target.kernels), conv_(make_conv(b, target, spec(conv, bins))), scale_(scale) {
    if (conv.map) map_ = map_args(b, *conv.map, bins);
  }

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const ggml_tensor * residual = dst->src[1];
    const ConvTarget to{out_of(dst), residual != nullptr ? data_of(residual) : nullptr,
                        static_cast<int>(ggml_nelements(dst)) / conv_->bins_out(),
                        residual != nullptr ? scale_ : 1.0f};
    conv_->run(context, &to, [&](float * row) { enter(dst->src[0], row); });
  }

 private:
  static ConvSpec spec(const Conv3x3 & conv, int64_t bins) {
    ConvSpec s;
    s.key = conv.key + "/3x3";
    s.bias_key = conv.bias_key;
    s.slot = conv.state;
    s.taps = kTaps;
    s.padding = kTaps - 1;
    s.dilation = static_cast<int>(conv.dilation);
    s.c_in = static_cast<int>(conv.c_in);
    const auto c_out = static_cast<int>(conv.c_out);
    s.stride = bins_at_once(conv, bins);
    s.filter_bins = s.stride + kTaps - 1;
    s.c_out = s.stride * c_out;
    s.bins_in = static_cast<int>(bins);
    s.exact = conv.exact;
    s.map = conv.after;
    if (conv.after) s.act = kernels::Act::kSilu;
    s.weights = [&conv, c_out, bins = s.filter_bins](int ci, int first, int n, double * tile) {
      for (int j = 0; j < kTaps * bins; ++j) {
        for (int c = first; c < first + n; ++c) {
          const int own = j % bins - c / c_out;
          *tile++ = own >= 0 && own < kTaps ? conv.weight(c % c_out, ci, own, j / bins) : 0.0;
        }
      }
    };
    s.bias = [&conv, c_out](int c) { return conv.bias(c % c_out); };
    return s;
  }

  void enter(const ggml_tensor * x, float * to) const {
    if (map_.channels == 0) {
      std::memcpy(to, data_of(x), ggml_nbytes(x));
      return;
    }
    kernels::BandMapArgs a = map_;
    a.x = data_of(x);
    a.out = to;
    kernels_->silu_map(a);
  }

  const kernels::KernelTable * kernels_;
  kernels::BandMapArgs map_;  // no channels: nothing before the convolution
  std::shared_ptr<const Conv> conv_;
  float scale_;
};

}  // namespace
}  // namespace fused

ggml_tensor * FusedBlocks::conv3x3(HopBuilder & b, const Conv3x3 & conv, ggml_tensor * x,
                                   ggml_tensor * residual, float scale) const {
  auto op = std::make_unique<fused::Conv3x3Op>(b, target_, conv, x->ne[1], scale);
  if (residual == nullptr) return b.custom(std::move(op), {conv.c_out, x->ne[1]}, {x});
  return b.custom(std::move(op), {conv.c_out, x->ne[1]}, {x, residual});
}

}  // namespace voxhop
