// The vector type first, then what is built on it.
#include "kernels/body/vec_scalar.h"

#include "kernels/body/quads_plain.h"

#include "kernels/body/conv_bf16.h"
#include "kernels/body/conv_s8.h"
#include "kernels/body/table.h"
#include "kernels/isa_tables.h"

namespace voxhop::kernels {

KernelTable scalar_table() {
  KernelTable table = base_table("scalar");
  table.conv_bf16 = {conv<Bf16Conv>, kMaxOctets};
  table.conv_s8 = {conv<S8Conv>, kMaxOctets};
  return table;
}

}  // namespace voxhop::kernels
