#include "blocks/dense/fused_dense.h"

#include "blocks/fused_blocks.h"

namespace voxhop {
namespace fused {

PrefixDense::PrefixDense(HopBuilder & b, const Target & target, const Linear & linear)
    : kernel_(target.half_weights() ? target.kernels->conv_f16 : target.kernels->conv_f32),
      packed_inputs_(static_cast<int>(linear.weight.ne[0])),
      rows_(static_cast<int>(linear.segment > 0 ? linear.segment : linear.weight.ne[1])),
      outputs_(static_cast<int>(linear.outputs)) {
  const int all = static_cast<int>(linear.weight.ne[1]) / rows_;
  const int padded = kernels::kOctet * kernels::octets_of(rows_);
  const size_t count = kernels::packed_count(packed_inputs_, rows_);
  const size_t element = target.half_weights() ? sizeof(uint16_t) : sizeof(float);
  const void * weights = b.weights().get(
      linear.weight.name + "/prefix", count * element * static_cast<size_t>(all), [&](void * out) {
        for (int s = 0; s < all; ++s) {
          const float * rows = linear.weight.data + s * rows_ * packed_inputs_;
          const kernels::WeightMatrix view(packed_inputs_, rows_, [&](int k, int c) {
            return double{rows[c * packed_inputs_ + k]};
          });
          auto * at = static_cast<std::byte *>(out) + static_cast<size_t>(s) * count * element;
          if (target.half_weights()) {
            kernels::pack_f16(view, kernel_.max_octets, reinterpret_cast<uint16_t *>(at));
          } else {
            kernels::pack_f32(view, kernel_.max_octets, reinterpret_cast<float *>(at));
          }
        }
      });
  const float * bias = nullptr;
  if (linear.bias.data != nullptr) {
    bias = b.weights().floats(linear.bias.name + "/prefix", static_cast<size_t>(padded * all),
                              [&](float * out) {
                                for (int i = 0; i < all * rows_; ++i) {
                                  out[i / rows_ * padded + i % rows_] = linear.bias.data[i];
                                }
                              });
  }
  for (int s = 0; s * rows_ < outputs_; ++s) {
    segments_.push_back(
        {static_cast<const std::byte *>(weights) + static_cast<size_t>(s) * count * element,
         bias != nullptr ? bias + s * padded : nullptr});
  }
}

void PrefixDense::run(const float * x, int inputs, int columns, kernels::Act act,
                      const float * residual, float * out) const {
  kernels::ConvArgs a;
  a.n_taps = a.weight_taps = 1;
  a.taps[0] = x;
  a.patch = a.step = inputs;
  a.packed_patch = packed_inputs_;
  a.c_out = rows_;
  a.end = columns;
  a.act = act;
  a.out_step = outputs_;
  for (size_t s = 0; s < segments_.size(); ++s) {
    const int first = static_cast<int>(s) * rows_;
    a.weights = segments_[s].weights;
    a.bias = segments_[s].bias;
    a.residual = residual != nullptr ? residual + first : nullptr;
    a.out = out + first;
    kernel_.run(a);
  }
}

namespace {

class LinearOp final : public CustomOp {
 public:
  LinearOp(const PrefixDense & dense, kernels::Act act) : dense_(dense), act_(act) {}

  // src: x, and the residual if there is one.
  void run(const HopContext &, ggml_tensor * dst) noexcept override {
    const ggml_tensor * x = dst->src[0];
    dense_.run(data_of(x), static_cast<int>(x->ne[0]), static_cast<int>(x->ne[1]), act_,
               dst->src[1] != nullptr ? data_of(dst->src[1]) : nullptr, out_of(dst));
  }

 private:
  PrefixDense dense_;
  kernels::Act act_;
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
                                  Activation activation, ggml_tensor * residual) const {
  auto op = std::make_unique<fused::LinearOp>(fused::PrefixDense(b, target_, linear),
                                              fused::act_of(activation));
  if (residual == nullptr) return b.custom(std::move(op), {linear.outputs, x->ne[1]}, {x});
  return b.custom(std::move(op), {linear.outputs, x->ne[1]}, {x, residual});
}

ggml_tensor * FusedBlocks::rms_norm(HopBuilder & b, const RmsNorm & norm, ggml_tensor * x) const {
  const float * gain = fused::packed_copy(b, norm.gain);
  return b.custom(std::make_unique<fused::RmsNormOp>(target_, gain, norm.eps), {x->ne[0], x->ne[1]},
                  {x});
}

}  // namespace voxhop
