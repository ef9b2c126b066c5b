// The vector type first, then what is built on it.
#include "kernels/body/vec_avx2.h"

#include "kernels/body/quads_avx_vnni.h"

#include "kernels/body/conv_s8.h"
#include "kernels/isa_tables.h"

namespace voxhop::kernels {

ConvKernel avx2_vnni_conv() {
  return {conv<S8Conv>, kMaxOctets};
}

}  // namespace voxhop::kernels
