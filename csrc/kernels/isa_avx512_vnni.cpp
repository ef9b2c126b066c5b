// The vector type first, then what is built on it.
#include "kernels/body/vec_avx512.h"

#include "kernels/body/quads_vnni.h"

#include "kernels/body/conv_s8.h"
#include "kernels/isa_tables.h"

namespace voxhop::kernels {

ConvKernel avx512_vnni_conv() {
  return {conv<S8Conv>, kMaxOctets};
}

}  // namespace voxhop::kernels
