// One function per ISA file that this build may carry. Only dispatch.cpp calls them, and
// only those whose instructions it has found or that only fill in a table.
#pragma once

#include "kernels/kernels.h"

namespace voxhop::kernels {

KernelTable scalar_table();
KernelTable neon_table();
ConvKernel neon_dotprod_conv();
KernelTable avx2_table();
ConvKernel avx2_vnni_conv();
/// Without bf16 and int8, which are CPU features of their own.
KernelTable avx512_table();
ConvKernel avx512_bf16_conv();
ConvKernel avx512_vnni_conv();
/// For CPUs that run the avx512 table too.
ConvKernel amx_bf16_conv();
ConvKernel amx_s8_conv();

}  // namespace voxhop::kernels
