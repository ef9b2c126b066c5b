#include "blocks/dense/fused_dense.h"

#include "blocks/fused_blocks.h"

namespace voxhop {
namespace fused {
namespace {

constexpr float kOne = 1.0f;

}  // namespace

PrefixDense::PrefixDense(HopBuilder & b, const Target & target, const Linear & linear,
                         int64_t inputs)
    : kernels_(target.kernels),
      precision_(linear.fine && target.half_weights() ? Precision::kF16 : target.precision),
      packed_inputs_(static_cast<int>(linear.weight.ne[0])),
      inputs_(static_cast<int>(inputs)),
      rows_(static_cast<int>(linear.segment > 0 ? linear.segment : linear.weight.ne[1])),
      outputs_(static_cast<int>(linear.outputs)) {
  choose_kernel(target);
  const auto all = linear.weight.ne[1] / rows_;
  const size_t count = kernels::packed_count(packed_inputs_, rows_);
  const size_t element = precision_ == Precision::kF32    ? sizeof(float)
                         : precision_ == Precision::kInt8 ? sizeof(int8_t)
                                                          : sizeof(uint16_t);
  const size_t scales = precision_ == Precision::kInt8 ? padded() * sizeof(float) : 0;
  const size_t bytes = count * element + scales;  // of a segment
  const auto * weights = static_cast<const std::byte *>(b.weights().get(
      linear.weight.name + "/prefix", bytes * static_cast<size_t>(all), [&](void * out) {
        for (int64_t s = 0; s < all; ++s) {
          const float * rows = linear.weight.data.now() + s * rows_ * packed_inputs_;
          pack(rows, static_cast<std::byte *>(out) + static_cast<size_t>(s) * bytes);
        }
      }));
  const float * bias = nullptr;
  if (linear.bias.data) {
    bias = b.weights().floats(
        linear.bias.name + "/prefix", padded() * static_cast<size_t>(all), [&](float * out) {
          for (int64_t i = 0; i < all * rows_; ++i) {
            out[static_cast<size_t>(i / rows_) * padded() + static_cast<size_t>(i % rows_)] =
                linear.bias.data[i];
          }
        });
  }
  const auto * offsets = static_cast<const int32_t *>(nullptr);
  if (precision_ == Precision::kInt8) {
    offsets = static_cast<const int32_t *>(b.weights().get(
        linear.weight.name + "/offset/" + std::to_string(inputs_),
        padded() * static_cast<size_t>(all) * sizeof(int32_t), [&](void * out) {
          for (int64_t s = 0; s < all; ++s) {
            const auto at = static_cast<size_t>(s);
            kernels::prefix_offset_s8(reinterpret_cast<const int8_t *>(weights + at * bytes),
                                      packed_inputs_, rows_, kernel_.max_octets, inputs_,
                                      static_cast<int32_t *>(out) + at * padded());
          }
        }));
  }
  for (int s = 0; s * rows_ < outputs_; ++s) {
    const auto at = static_cast<size_t>(s);
    const std::byte * segment = weights + at * bytes;
    segments_.push_back({segment, bias == nullptr ? nullptr : bias + at * padded(),
                         reinterpret_cast<const float *>(segment + count * element),
                         offsets == nullptr ? nullptr : offsets + at * padded()});
  }
}

void PrefixDense::choose_kernel(const Target & target) {
  const auto whole = [&](int group) { return packed_inputs_ % group == 0 && inputs_ % group == 0; };
  if (precision_ == Precision::kInt8 && whole(4)) {
    kernel_ = target.kernels->conv_s8;
  } else if (precision_ == Precision::kBf16 && whole(2)) {
    kernel_ = target.kernels->conv_bf16;
  } else if (precision_ == Precision::kF32) {
    kernel_ = target.kernels->conv_f32;
  } else {
    precision_ = Precision::kF16;
    kernel_ = target.kernels->conv_f16;
  }
}

void PrefixDense::pack(const float * rows, std::byte * out) const {
  const int octets = kernel_.max_octets;
  const auto at = [&](int k, int c) { return double{rows[c * packed_inputs_ + k]}; };
  switch (precision_) {
    case Precision::kF32:
      kernels::pack_f32(packed_inputs_, rows_, octets, at, reinterpret_cast<float *>(out));
      break;
    case Precision::kF16:
      kernels::pack_f16(packed_inputs_, rows_, octets, at, reinterpret_cast<uint16_t *>(out));
      break;
    case Precision::kBf16:
      kernels::pack_bf16({packed_inputs_, rows_, at}, octets, reinterpret_cast<uint16_t *>(out));
      break;
    case Precision::kInt8: {
      std::vector<int32_t> all(padded());  // of every input; a prefix has its own
      auto * scale = reinterpret_cast<float *>(out + kernels::packed_count(packed_inputs_, rows_));
      kernels::pack_s8({packed_inputs_, rows_, at}, octets, 1, reinterpret_cast<int8_t *>(out),
                       scale, all.data());
      break;
    }
  }
}

size_t PrefixDense::narrow_bytes(int columns) const {
  const auto values = static_cast<size_t>(columns) * static_cast<size_t>(inputs_);
  if (precision_ == Precision::kBf16) return align_up(values * sizeof(uint16_t));
  if (precision_ != Precision::kInt8) return 0;
  return align_up(static_cast<size_t>(columns) * sizeof(float)) + align_up(values);
}

void PrefixDense::narrow(const DenseCall & call, kernels::ConvArgs & args) const {
  if (precision_ == Precision::kBf16) {
    auto * rows = reinterpret_cast<uint16_t *>(call.narrow);
    kernels_->to_bf16(call.x, rows, inputs_ * call.columns);
    args.taps[0] = rows;
  } else if (precision_ == Precision::kInt8) {
    auto * scale = reinterpret_cast<float *>(call.narrow);
    auto * rows = reinterpret_cast<int8_t *>(
        call.narrow + align_up(static_cast<size_t>(call.columns) * sizeof(float)));
    for (int c = 0; c < call.columns; ++c) {
      scale[c] = kernels_->to_s8(call.x + c * inputs_, rows + c * inputs_, inputs_);
    }
    args.taps[0] = rows;
    args.tap_scale = &kOne;
    args.bin_scale = scale;
  }
}

void PrefixDense::run(const DenseCall & call) const {
  kernels::ConvArgs a;
  a.n_taps = a.weight_taps = 1;
  a.taps[0] = call.x;
  narrow(call, a);
  a.patch = a.step = inputs_;
  a.packed_patch = packed_inputs_;
  a.c_out = rows_;
  a.end = call.columns;
  a.act = call.act;
  a.scale = call.scale;
  a.out_step = outputs_;
  for (size_t s = 0; s < segments_.size(); ++s) {
    const int first = static_cast<int>(s) * rows_;
    a.weights = segments_[s].weights;
    a.bias = segments_[s].bias;
    a.channel_scale = segments_[s].channel_scale;
    a.offset = segments_[s].offset;
    a.residual = call.residual != nullptr ? call.residual + first : nullptr;
    a.out = call.out + first;
    kernel_.run(a);
  }
}

namespace {

class LinearOp final : public CustomOp {
 public:
  LinearOp(HopBuilder & b, PrefixDense dense, int64_t columns, kernels::Act act, float scale)
      : dense_(std::move(dense)), act_(act), scale_(scale) {
    b.shared_scratch(dense_.narrow_bytes(static_cast<int>(columns)));
  }

  // src: x, and the residual if there is one.
  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const ggml_tensor * x = dst->src[0];
    dense_.run({data_of(x), static_cast<int>(x->ne[1]), act_,
                dst->src[1] != nullptr ? data_of(dst->src[1]) : nullptr, out_of(dst),
                context.scratch, scale_});
  }

 private:
  PrefixDense dense_;
  kernels::Act act_;
  float scale_;
};

class RmsNormOp final : public CustomOp {
 public:
  RmsNormOp(const Target & target, const float * gain, float eps)
      : kernels_(target.kernels), gain_(gain), eps_(eps) {}

  void run(const HopContext &, ggml_tensor * dst) noexcept override {
    kernels_->rms_norm({data_of(dst->src[0]), static_cast<int>(dst->ne[1]),
                        static_cast<int>(dst->ne[0]), gain_, eps_, out_of(dst)});
  }

 private:
  const kernels::KernelTable * kernels_;
  const float * gain_;
  float eps_;
};

}  // namespace
}  // namespace fused

ggml_tensor * FusedBlocks::linear(HopBuilder & b, const Linear & linear, ggml_tensor * x,
                                  Activation activation, ggml_tensor * residual,
                                  float scale) const {
  auto op = std::make_unique<fused::LinearOp>(b, fused::PrefixDense(b, target_, linear, x->ne[0]),
                                              x->ne[1], fused::act_of(activation), scale);
  if (residual == nullptr) return b.custom(std::move(op), {linear.outputs, x->ne[1]}, {x});
  return b.custom(std::move(op), {linear.outputs, x->ne[1]}, {x, residual});
}

ggml_tensor * FusedBlocks::rms_norm(HopBuilder & b, const RmsNorm & norm, ggml_tensor * x) const {
  const float * gain = fused::packed_copy(b, norm.gain);
  return b.custom(std::make_unique<fused::RmsNormOp>(target_, gain, norm.eps), {x->ne[0], x->ne[1]},
                  {x});
}

}  // namespace voxhop
