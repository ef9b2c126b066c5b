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

constexpr int kFrames = 3;
constexpr int kTaps = 3 * kFrames;  // and 3 bins
constexpr int kParts = 4;           // of a tap: real and imaginary, of the lower and the upper bin
constexpr int kPlanes = kTaps * kParts;
constexpr int kPastFrames = kFrames - 1;

// The projection of 3 basis planes on real and imaginary part is linear, and no activation
// lies between: 27 channels become 18.
template <class Value>
double projected(int tap, bool imaginary, const Value & value) {
  const double one = value(tap), up = value(kTaps + tap), down = value(2 * kTaps + tap);
  return imaginary ? std::sqrt(0.75) * (up - down) : one - 0.5 * (up + down);
}

// A position's channels become (tap, bin, part): what one tap needs lies together.
ConvSpec folded(const UpsampleBlock & block, int64_t bins) {
  ConvSpec spec = upsample_spec(block, bins);
  const int C = spec.c_out;
  const auto at = [C](int c, const auto & value) {
    const int first = c / 2 % 2 * C;
    return projected(c / kParts, c % 2 != 0, [&](int channel) { return value(first + channel); });
  };
  spec.key += "/folded";
  spec.c_out = kPlanes;
  spec.groups = 1;  // both bins side by side: the mask reads them by address
  spec.weights = [inner = spec.weights, at, C, rows = spec.taps * spec.filter_bins](
                     int ci, int first, int n, double * tile) {
    std::vector<double> all(static_cast<size_t>(rows * 2 * C));
    inner(ci, 0, 2 * C, all.data());
    for (int j = 0; j < rows; ++j) {
      const double * row = all.data() + j * 2 * C;
      for (int c = 0; c < n; ++c) {
        *tile++ = at(first + c, [row](int channel) { return row[channel]; });
      }
    }
  };
  spec.bias = [inner = spec.bias, at](int c) {
    return at(c, [&](int channel) { return inner(channel); });
  };
  return spec;
}

// As wide as any instruction set's vectors at least are.
typedef float Quad __attribute__((vector_size(16)));

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
    const ConvTarget to{planes_, nullptr, kPlanes};
    conv_->run(context, &to, [&](float * row) { norm_.run(x, row); });

    const size_t padded = (static_cast<size_t>(dst->ne[1]) + 2) * 2;
    Head & head = *frames_.in<Head>(context);
    const auto oldest = static_cast<size_t>(head.oldest) % kPastFrames;
    float * kept = reinterpret_cast<float *>(frames_.in<std::byte>(context) + kAlignment);
    auto * newest = reinterpret_cast<float *>(context.scratch);
    newest[0] = newest[1] = newest[padded - 2] = newest[padded - 1] = 0.0f;
    std::memcpy(newest + 2, data_of(dst->src[1]), (padded - 4) * sizeof(float));
    std::array<Doubled, kFrames> frames;
    const std::array<const float *, kFrames> past{kept + oldest * padded,
                                                  kept + (1 - oldest) * padded, newest};
    float * doubled = newest + padded;
    for (size_t m = 0; m < kFrames; ++m, doubled += 2 * padded) {
      frames[m] = {doubled, doubled + padded};
      double_parts(past[m], padded, doubled, doubled + padded);
    }
    share(context, 1, [&](const Piece & piece) {
      const Rows rows{cut(half, kRowStep, piece.at, piece.of),
                      cut(half, kRowStep, piece.at + 1, piece.of), half};
      if (shuffle_ == Shuffle::kHalves) {
        apply<false>(frames, rows, out_of(dst));
      } else {
        apply<true>(frames, rows, out_of(dst));
      }
    });
    std::memcpy(kept + oldest * padded, newest, padded * sizeof(float));
    head.oldest = static_cast<int32_t>(1 - oldest);
  }

  /// Floats: a frame with one bin on each side, and three with their parts apart.
  static size_t scratch_floats(int64_t bins) {
    return (static_cast<size_t>(bins) + 2) * 2 * (1 + 2 * kFrames);
  }

 private:
  // Those of `half` that are computed.
  struct Rows {
    int begin, end;
    int half;
  };
  static constexpr int kRowStep = 8;

  // A frame's real and imaginary parts, each twice in a row.
  struct Doubled {
    const float * real;
    const float * imaginary;
  };

  static void double_parts(const float * x, size_t count, float * real, float * imaginary) {
    for (size_t i = 0; i < count; i += 2) {
      real[i] = real[i + 1] = x[i];
      imaginary[i] = imaginary[i + 1] = x[i + 1];
    }
  }

  // Two floats of one bin, two of another.
  template <bool kNeighbours>
  static Quad pair(const float * x, int apart) {
    if constexpr (kNeighbours) {
      Quad whole;
      std::memcpy(&whole, x, sizeof whole);
      return whole;
    } else {
      return Quad{x[0], x[1], x[apart], x[apart + 1]};
    }
  }

  // (Hr + j Hi)(Xr + j Xi), summed over 3 frames (oldest first) and bins f - 1 .. f + 1, for
  // the two bins of a position at once.
  template <bool kNeighbours>
  void apply(const std::array<Doubled, kFrames> & frames, const Rows & rows, float * out) const {
    const int apart = 2 * (kNeighbours ? 1 : rows.half);  // floats between the two bins
    for (int row = rows.begin; row < rows.end; ++row) {
      const int lower = 2 * (kNeighbours ? 2 * row : row);
      const float * h = planes_ + row * kPlanes;
      Quad by_real{}, by_imaginary{};  // Hr Xr, Hi Xr of both bins; Hr Xi, Hi Xi
      for (const Doubled & x : frames) {
        for (int at = lower; at <= lower + 4; at += 2, h += kParts) {
          const Quad mask = pair<true>(h, 0);
          by_real += mask * pair<kNeighbours>(x.real + at, apart);
          by_imaginary += mask * pair<kNeighbours>(x.imaginary + at, apart);
        }
      }
      float * z = out + lower;
      z[0] = by_real[0] - by_imaginary[1];
      z[1] = by_real[1] + by_imaginary[0];
      z[apart] = by_real[2] - by_imaginary[3];
      z[apart + 1] = by_real[3] + by_imaginary[2];
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
  b.shared_scratch(fused::MaskHeadOp::scratch_floats(spectrum->ne[1]) * sizeof(float));
  auto * planes = reinterpret_cast<float *>(
      b.scratch(static_cast<size_t>(x->ne[1]) * fused::kPlanes * sizeof(float)));
  return b.custom(
      std::make_unique<fused::MaskHeadOp>(conv, norm, head.upsample.shuffle, frames, planes),
      {2, spectrum->ne[1]}, {x, spectrum});
}

}  // namespace voxhop
