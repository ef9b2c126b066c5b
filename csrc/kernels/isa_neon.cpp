// The vector type first, then what is built on it.
#include "kernels/body/vec_neon.h"

#include "kernels/body/quads_neon.h"

#include "kernels/body/conv_bf16.h"
#include "kernels/body/conv_s8.h"
#include "kernels/body/table.h"
#include "kernels/isa_tables.h"

namespace voxhop::kernels {

KernelTable neon_table() {
  KernelTable table = base_table("neon");
  table.conv_bf16 = {conv<Bf16Conv>, kMaxOctets};
  table.conv_s8 = {conv<S8Conv>, kMaxOctets};
  return table;
}

}  // namespace voxhop::kernels
