// The vector type first, then what is built on it.
#include "kernels/body/vec_neon.h"

#include "kernels/body/quads_neon.h"

#include "kernels/body/conv_s8.h"
#include "kernels/isa_tables.h"

namespace voxhop::kernels {

ConvKernel neon_dotprod_conv() {
  return {conv<S8Conv>, kMaxOctets};
}

}  // namespace voxhop::kernels
