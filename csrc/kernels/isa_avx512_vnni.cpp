#include "kernels/body/quads_vnni.h"
// The vector type comes first.
#include "kernels/body/conv_s8.h"
#include "kernels/isa_tables.h"

namespace voxhop::kernels {

ConvKernel avx512_vnni_conv() {
  return {conv<S8Conv>, kMaxOctets};
}

}  // namespace voxhop::kernels
