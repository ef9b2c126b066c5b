// The vector type first, then what is built on it.
#include "kernels/body/vec_avx512.h"

#include "kernels/body/pairs_avx512.h"

#include "kernels/body/conv_bf16.h"
#include "kernels/isa_tables.h"

namespace voxhop::kernels {

ConvKernel avx512_bf16_conv() {
  return {conv<Bf16Conv>, kMaxOctets};
}

}  // namespace voxhop::kernels
