// The vector type first, then what is built on it.
#include "kernels/body/vec_avx512.h"

#include "kernels/body/table.h"
#include "kernels/isa_tables.h"

namespace voxhop::kernels {

KernelTable avx512_table() {
  return base_table("avx512");
}

}  // namespace voxhop::kernels
