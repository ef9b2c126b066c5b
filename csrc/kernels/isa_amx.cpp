// The vector type first, then what is built on it.
#include "kernels/body/vec_avx512.h"

#include "kernels/body/quads_vnni.h"

#include "kernels/body/conv_tiles.h"
#include "kernels/isa_tables.h"

namespace voxhop::kernels {

ConvKernel amx_bf16_conv() {
  return {conv_on_tiles<TilesBf16>, kMaxOctets};
}

ConvKernel amx_s8_conv() {
  return {conv_on_tiles<TilesS8>, kMaxOctets};
}

}  // namespace voxhop::kernels
