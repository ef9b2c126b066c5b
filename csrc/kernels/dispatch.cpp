#include "kernels/dispatch.h"

#include "kernels/isa_tables.h"

namespace voxhop::kernels {
namespace {

#if defined(VOXHOP_KERNELS_X86)

// The compiler's probe also asks the operating system for the register state.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

KernelTable best_avx512_table() {
  KernelTable table = avx512_table();
  const KernelTable narrow = avx2_table();
  table.conv_bf16 = __builtin_cpu_supports("avx512bf16") ? avx512_bf16_conv() : narrow.conv_bf16;
  table.conv_s8 = __builtin_cpu_supports("avx512vnni") ? avx512_vnni_conv() : narrow.conv_s8;
  return table;
}

std::vector<KernelTable> make_tables() {
  __builtin_cpu_init();
  std::vector<KernelTable> tables;
  if (has_avx512()) tables.push_back(best_avx512_table());
  if (has_avx2()) tables.push_back(avx2_table());
  tables.push_back(scalar_table());
  return tables;
}

#elif defined(VOXHOP_KERNELS_NEON)

std::vector<KernelTable> make_tables() {
  return {neon_table(), scalar_table()};
}

#else

std::vector<KernelTable> make_tables() {
  return {scalar_table()};
}

#endif

const std::vector<KernelTable> & tables() {
  static const std::vector<KernelTable> all = make_tables();
  return all;
}

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const KernelTable & table : tables()) names.emplace_back(table.isa);
  return names;
}

const KernelTable * find_table(const std::string & isa) {
  for (const KernelTable & table : tables()) {
    if (isa == "auto" || isa == table.isa) return &table;
  }
  return nullptr;
}

}  // namespace voxhop::kernels
