#include "blocks/fused_target.h"

#include <algorithm>
#include <cstring>

namespace voxhop::fused {

kernels::Act act_of(Activation activation) {
  switch (activation) {
    case Activation::kElu:
      return kernels::Act::kElu;
    case Activation::kRelu6:
      return kernels::Act::kRelu6;
    case Activation::kSilu:
      return kernels::Act::kSilu;
    case Activation::kGelu:
      return kernels::Act::kGelu;
    case Activation::kTanh:
      return kernels::Act::kTanh;
    case Activation::kSigmoid:
      return kernels::Act::kSigmoid;
    case Activation::kNone:
      break;
  }
  return kernels::Act::kNone;
}

Dense::Dense(const Target & target, int k, int c_out)
    : kernel_(target.half_weights() ? target.kernels->conv_f16 : target.kernels->conv_f32),
      half_(target.half_weights()),
      k_(k),
      c_out_(c_out) {}

size_t Dense::padded() const {
  return static_cast<size_t>(kernels::kOctet * kernels::octets_of(c_out_));
}

size_t Dense::weight_bytes() const {
  return kernels::packed_count(k_, c_out_) * (half_ ? sizeof(uint16_t) : sizeof(float));
}

kernels::ConvArgs Dense::args(int taps) const {
  kernels::ConvArgs a;
  a.n_taps = a.weight_taps = taps;
  a.patch = a.step = k_ / taps;
  a.weights = weights_;
  a.bias = bias_;
  a.c_out = a.out_step = c_out_;
  a.end = 1;
  return a;
}

RowNorm::RowNorm(HopBuilder & b, const Target & target, const std::optional<Norm> & norm)
    : kernels_(target.kernels) {
  if (norm) {
    gain_ = packed_copy(b, norm->gain);
    bias_ = packed_copy(b, norm->bias);
  }
}

void RowNorm::run(const ggml_tensor * x, float * out) const {
  if (gain_ != nullptr) {
    kernels_->norm(
        {data_of(x), static_cast<int>(x->ne[1]), static_cast<int>(x->ne[0]), gain_, bias_, out});
  } else {
    std::memcpy(out, data_of(x), ggml_nbytes(x));
  }
}

const float * packed_copy(HopBuilder & b, const Weight & weight) {
  return b.weights().floats(
      weight.name + "/copy", static_cast<size_t>(weight.count()),
      [&](float * out) { std::copy_n(weight.data.now(), weight.count(), out); });
}

}  // namespace voxhop::fused
