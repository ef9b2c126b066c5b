#include "blocks/dense/byte_dense.h"

#include <cstring>

namespace voxhop::fused {
namespace {

constexpr int kGroup = 4;  // inputs that the kernels take together

}  // namespace

ByteDense::ByteDense(const Target & target, int taps, int inputs, int c_out)
    : kernels_(target.kernels),
      taps_(taps),
      inputs_(inputs),
      padded_((inputs + kGroup - 1) / kGroup * kGroup),
      c_out_(c_out) {}

size_t ByteDense::octet_channels() const {
  return static_cast<size_t>(kernels::kOctet * kernels::octets_of(c_out_));
}

// Units, then the value of one per channel, then the offsets.
size_t ByteDense::bytes() const {
  return kernels::packed_count(taps_ * padded_, c_out_) +
         octet_channels() * (sizeof(float) + static_cast<size_t>(taps_) * sizeof(int32_t));
}

void ByteDense::pack(const kernels::WeightMatrix & weight, void * out) const {
  auto * units = static_cast<int8_t *>(out);
  auto * scale = reinterpret_cast<float *>(units + kernels::packed_count(weight.k, c_out_));
  auto * offset = reinterpret_cast<int32_t *>(scale + octet_channels());
  kernels::pack_s8(weight, kernels_->conv_s8.max_octets, taps_, units, scale, offset);
}

ByteDense::Row ByteDense::round(const float * x, std::byte * to) const {
  auto * values = reinterpret_cast<int8_t *>(to);
  std::memset(values + inputs_, 0, static_cast<size_t>(padded_ - inputs_));
  return {values, kernels_->to_s8(x, values, inputs_)};
}

void ByteDense::run(const Row * rows, kernels::Act act, const float * residual, float * out) const {
  float scales[kernels::kMaxTaps];
  kernels::ConvArgs a;
  a.n_taps = a.weight_taps = taps_;
  a.patch = a.step = padded_;
  for (int tap = 0; tap < taps_; ++tap) {
    a.taps[tap] = rows[tap].values;
    scales[tap] = rows[tap].scale;
  }
  a.weights = weights_;
  a.tap_scale = scales;
  a.channel_scale =
      reinterpret_cast<const float *>(weights_ + kernels::packed_count(taps_ * padded_, c_out_));
  a.offset = reinterpret_cast<const int32_t *>(a.channel_scale + octet_channels());
  a.bias = bias_;
  a.act = act;
  a.c_out = a.out_step = c_out_;
  a.end = 1;
  a.residual = residual;
  a.out = out;
  kernels_->conv_s8.run(a);
}

}  // namespace voxhop::fused
