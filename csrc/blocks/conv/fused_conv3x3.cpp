// The 3x3 causal convolution on a ring of past rows, without unfolding.
#include <algorithm>
#include <cstring>

#include "blocks/fused_blocks.h"
#include "core/worker_pool.h"

namespace voxhop {
namespace fused {
namespace {

constexpr int kTaps = Conv3x3::kTaps;
constexpr int kChunkBins = 16;  // that one thread takes at a time

kernels::BandMapArgs map_args(HopBuilder & b, const BandMap & map, int64_t bins) {
  kernels::BandMapArgs a;
  a.bins = static_cast<int>(bins);
  a.channels = static_cast<int>(map.scale.ne[0]);
  a.bands = static_cast<int>(BandMap::bands(bins));
  a.scale = packed_copy(b, map.scale);
  a.shift = packed_copy(b, map.shift);
  return a;
}

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

// Rows in the stream's state are padded by a bin on both sides and read in place with f32;
// with f16 they lie without padding and are widened into scratch.
class Conv3x3Op final : public CustomOp {
 public:
  Conv3x3Op(HopBuilder & b, const Target & target, const Conv3x3 & conv, int64_t bins)
      : kernels_(target.kernels),
        half_(target.half_weights() && !conv.exact),
        c_in_(static_cast<int>(conv.c_in)),
        bins_(static_cast<int>(bins)),
        dilation_(static_cast<int>(conv.dilation)) {
    wide_bytes_ = align_up(static_cast<size_t>((bins_ + 2) * c_in_) * sizeof(float));
    row_bytes_ =
        half_ ? align_up(static_cast<size_t>(bins_ * c_in_) * sizeof(uint16_t)) : wide_bytes_;
    slot_ = b.exclusive(conv.state, kAlignment + static_cast<size_t>(past()) * row_bytes_);
    b.shared_scratch((half_ ? kTaps : 1) * wide_bytes_);
    if (conv.map) map_ = map_args(b, *conv.map, bins);
    pack(b, conv);
  }

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * oldest = slot_.in<uint32_t>(context);
    const int first = static_cast<int>(*oldest % static_cast<uint32_t>(past()));
    float * newest = wide(context, 0);
    enter(data_of(dst->src[0]), newest + c_in_);
    pad(newest);
    kernels::ConvArgs a = args_;
    a.taps[0] = tap(context, first, 1);
    a.taps[1] = tap(context, (first + dilation_) % past(), 2);
    a.taps[2] = newest;
    a.out = out_of(dst);
    convolve(context, a);
    std::byte * kept = row(context, first);
    if (half_) {
      kernels_->to_f16(newest + c_in_, reinterpret_cast<uint16_t *>(kept), bins_ * c_in_);
    } else {
      std::memcpy(kept, newest, wide_bytes_);
    }
    *oldest = static_cast<uint32_t>((first + 1) % past());
  }

 private:
  int past() const { return (kTaps - 1) * dilation_; }

  void pack(HopBuilder & b, const Conv3x3 & conv) {
    const int k = kTaps * kTaps * c_in_;
    const auto c_out = static_cast<int>(conv.c_out);
    const kernels::ConvKernel kernel = half_ ? kernels_->conv_f16 : kernels_->conv_f32;
    run_ = kernel.run;
    const size_t element = half_ ? sizeof(uint16_t) : sizeof(float);
    args_.weights = b.weights().get(
        conv.key + "/3x3", kernels::packed_count(k, c_out) * element, [&](void * out) {
          const kernels::WeightMatrix matrix(k, c_out, [&](int row, int c) {
            const int at = row / c_in_;
            return conv.weight(c, row % c_in_, at % kTaps, at / kTaps);
          });
          if (half_) {
            kernels::pack_f16(matrix, kernel.max_octets, static_cast<uint16_t *>(out));
          } else {
            kernels::pack_f32(matrix, kernel.max_octets, static_cast<float *>(out));
          }
        });
    const auto padded = static_cast<size_t>(kernels::kOctet * kernels::octets_of(c_out));
    args_.bias = b.weights().floats(conv.bias_key, padded, [&](float * out) {
      for (int c = 0; c < c_out; ++c) out[c] = static_cast<float>(conv.bias(c));
    });
    args_.n_taps = args_.weight_taps = kTaps;
    args_.patch = kTaps * c_in_;
    args_.step = c_in_;
    args_.c_out = args_.out_step = c_out;
    args_.end = bins_;
  }

  void enter(const float * x, float * to) const {
    if (map_.channels == 0) {
      std::memcpy(to, x, static_cast<size_t>(bins_ * c_in_) * sizeof(float));
      return;
    }
    kernels::BandMapArgs a = map_;
    a.x = x;
    a.out = to;
    kernels_->silu_map(a);
  }

  void convolve(const HopContext & context, const kernels::ConvArgs & a) const {
    if (context.workers == nullptr) {
      run_(a);
      return;
    }
    context.workers->run((bins_ + kChunkBins - 1) / kChunkBins, [&](int chunk, int) {
      kernels::ConvArgs part = a;
      part.begin = chunk * kChunkBins;
      part.end = std::min(bins_, part.begin + kChunkBins);
      run_(part);
    });
  }

  void pad(float * row) const {
    const size_t bytes = static_cast<size_t>(c_in_) * sizeof(float);
    std::memset(row, 0, bytes);
    std::memset(row + (bins_ + 1) * c_in_, 0, bytes);
  }

  float * wide(const HopContext & context, size_t i) const {
    return reinterpret_cast<float *>(context.scratch + i * wide_bytes_);
  }
  std::byte * row(const HopContext & context, int i) const {
    return slot_.in<std::byte>(context) + kAlignment + static_cast<size_t>(i) * row_bytes_;
  }
  const float * tap(const HopContext & context, int i, size_t place) const {
    const std::byte * kept = row(context, i);
    if (!half_) return reinterpret_cast<const float *>(kept);
    float * to = wide(context, place);
    kernels_->from_f16(reinterpret_cast<const uint16_t *>(kept), to + c_in_, bins_ * c_in_);
    pad(to);
    return to;
  }

  const kernels::KernelTable * kernels_;
  bool half_;
  int c_in_, bins_, dilation_;
  size_t wide_bytes_ = 0, row_bytes_ = 0;
  ExclusiveSlot slot_;
  kernels::BandMapArgs map_;  // no channels: nothing before the convolution
  kernels::ConvArgs args_;
  void (*run_)(const kernels::ConvArgs & args) = nullptr;
};

}  // namespace
}  // namespace fused

ggml_tensor * FusedBlocks::silu_map(HopBuilder & b, const BandMap & map, ggml_tensor * x) const {
  return b.custom(
      std::make_unique<fused::SiluMapOp>(target_.kernels, fused::map_args(b, map, x->ne[1])),
      {x->ne[0], x->ne[1]}, {x});
}

ggml_tensor * FusedBlocks::conv3x3(HopBuilder & b, const Conv3x3 & conv, ggml_tensor * x) const {
  return b.custom(std::make_unique<fused::Conv3x3Op>(b, target_, conv, x->ne[1]),
                  {conv.c_out, x->ne[1]}, {x});
}

}  // namespace voxhop
