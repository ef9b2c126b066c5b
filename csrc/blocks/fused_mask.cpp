// The mask head: last sub-pixel convolution with the mask's projection folded in, and the
// complex convolving mask.
#include <array>
#include <cmath>
#include <cstring>

#include "blocks/fused_blocks.h"
#include "blocks/fused_conv.h"
#include "core/status.h"

namespace voxhop {
namespace fused {
namespace {

constexpr int kTaps = 9;            // 3 frames x 3 bins
constexpr int kPlanes = 2 * kTaps;  // real parts, then imaginary parts
constexpr int kPastFrames = 2;

// The projection of 3 basis planes on real and imaginary part is linear, and no activation
// lies between: 27 channels become 18.
double projected(int plane, const std::function<double(int channel)> & value) {
  const int tap = plane % kTaps;
  const double one = value(tap), up = value(kTaps + tap), down = value(2 * kTaps + tap);
  return plane < kTaps ? one - 0.5 * (up + down) : std::sqrt(0.75) * (up - down);
}

ConvSpec folded(const UpsampleBlock & block, int64_t bins) {
  ConvSpec spec = upsample_spec(block, bins);
  const int C = spec.c_out;
  spec.key += "/folded";
  spec.c_out = 2 * kPlanes;
  spec.groups = 1;  // both groups side by side: the mask reads them by address
  spec.weight = [inner = spec.weight, C](int tap, int bin, int ci, int c) {
    return projected(c % kPlanes,
                     [&](int channel) { return inner(tap, bin, ci, c / kPlanes * C + channel); });
  };
  spec.bias = [inner = spec.bias, C](int c) {
    return projected(c % kPlanes, [&](int channel) { return inner(c / kPlanes * C + channel); });
  };
  return spec;
}

struct Head {
  int32_t oldest;
};

class MaskHeadOp final : public CustomOp {
 public:
  MaskHeadOp(std::shared_ptr<const Conv> conv, const RowNorm & norm, Shuffle shuffle,
             ExclusiveSlot frames, float * planes)
      : conv_(std::move(conv)), norm_(norm), shuffle_(shuffle), frames_(frames), planes_(planes) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const ggml_tensor * x = dst->src[0];
    const auto half = static_cast<int>(x->ne[1]);
    norm_.run(data_of(x), half, static_cast<int>(x->ne[0]), conv_->newest(context));
    const ConvTarget to{planes_, nullptr, 2 * kPlanes};
    conv_->run(context, &to);

    const size_t padded = (static_cast<size_t>(dst->ne[1]) + 2) * 2;
    Head & head = *frames_.in<Head>(context);
    const auto oldest = static_cast<size_t>(head.oldest) % kPastFrames;
    float * rows = reinterpret_cast<float *>(frames_.in<std::byte>(context) + kAlignment);
    auto * newest = reinterpret_cast<float *>(context.scratch);
    newest[0] = newest[1] = newest[padded - 2] = newest[padded - 1] = 0.0f;
    std::memcpy(newest + 2, data_of(dst->src[1]), (padded - 4) * sizeof(float));
    const std::array<const float *, 3> frames{rows + oldest * padded, rows + (1 - oldest) * padded,
                                              newest};
    apply(frames, half, out_of(dst));
    std::memcpy(rows + oldest * padded, newest, padded * sizeof(float));
    head.oldest = static_cast<int32_t>(1 - oldest);
  }

 private:
  // (Hr + j Hi)(Xr + j Xi), summed over 3 frames (oldest first) and bins f - 1 .. f + 1.
  void apply(const std::array<const float *, 3> & frames, int half, float * out) const {
    for (int f = 0; f < 2 * half; ++f) {
      const bool upper = shuffle_ == Shuffle::kHalves ? f >= half : f % 2 != 0;
      const int row = shuffle_ == Shuffle::kHalves ? f % half : f / 2;
      const float * h = planes_ + row * 2 * kPlanes + (upper ? kPlanes : 0);
      float re = 0.0f, im = 0.0f;
      for (int m = 0; m < 3; ++m) {
        const float * x = frames[static_cast<size_t>(m)] + 2 * f;
        for (int n = 0; n < 3; ++n) {
          const float hr = h[3 * m + n], hi = h[kTaps + 3 * m + n];
          re += hr * x[2 * n] - hi * x[2 * n + 1];
          im += hi * x[2 * n] + hr * x[2 * n + 1];
        }
      }
      out[2 * f] = re;
      out[2 * f + 1] = im;
    }
  }

  std::shared_ptr<const Conv> conv_;
  RowNorm norm_;
  Shuffle shuffle_;
  ExclusiveSlot frames_;
  float * planes_;
};

}  // namespace
}  // namespace fused

ggml_tensor * FusedBlocks::mask_head(HopBuilder & b, const MaskHead & head, ggml_tensor * x,
                                     ggml_tensor * spectrum) const {
  // Folding needs a linear step before the mask.
  if (head.upsample.activation != Activation::kNone) {
    return StockBlocks::mask_head(b, head, x, spectrum);
  }
  const fused::RowNorm norm(b, target_, head.upsample.norm);
  std::shared_ptr<const fused::Conv> conv;
  {
    const HopBuilder::Scope scope(b, head.upsample.name);
    conv = fused::make_conv(b, target_, fused::folded(head.upsample, x->ne[1]));
  }
  const HopBuilder::Scope scope(b, head.name);
  const size_t frame = (static_cast<size_t>(spectrum->ne[1]) + 2) * 2 * sizeof(float);
  const ExclusiveSlot frames = b.exclusive("history", kAlignment + fused::kPastFrames * frame);
  b.shared_scratch(frame);
  auto * planes = reinterpret_cast<float *>(
      b.scratch(static_cast<size_t>(x->ne[1]) * 2 * fused::kPlanes * sizeof(float)));
  return b.custom(
      std::make_unique<fused::MaskHeadOp>(conv, norm, head.upsample.shuffle, frames, planes),
      {2, spectrum->ne[1]}, {x, spectrum});
}

}  // namespace voxhop
