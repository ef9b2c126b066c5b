#include "blocks/attention/ring_attention.h"
#include "blocks/fused_blocks.h"

namespace voxhop {
namespace {

RingFormat format_of(const fused::Target & target, fused::Precision precision) {
  const kernels::KernelTable & k = *target.kernels;
  RingFormat format;
  format.width = k.width;
  kernels::RingKernel kernel = k.ring_f32;
  if (precision == fused::Precision::kInt8) {
    kernel = k.ring_s8;
    format.element = sizeof(int8_t);
    format.scaled = true;
  } else if (precision != fused::Precision::kF32) {
    kernel = k.ring_f16;
    format.element = sizeof(uint16_t);
  }
  format.attend = kernel.attend;
  format.store = kernel.store;
  return format;
}

fused::Precision kept_in(const std::string & cache, fused::Precision set) {
  if (cache == "f32") return fused::Precision::kF32;
  if (cache == "f16") return fused::Precision::kF16;
  return cache == "int8" ? fused::Precision::kInt8 : set;
}

}  // namespace

ggml_tensor * FusedBlocks::time_attention(HopBuilder & b, const TimeAttention & block,
                                          ggml_tensor * rotary, const QueryKeyValue & x) const {
  return ring_attention(b, format_of(target_, kept_in(block.cache, target_.precision)), block,
                        rotary, x);
}

ggml_tensor * FusedBlocks::band_attention(HopBuilder & b, const BandAttention & block,
                                          const QueryKeyValue & x) const {
  return ring_band_attention(b, format_of(target_, fused::Precision::kF32), block, x);
}

}  // namespace voxhop
