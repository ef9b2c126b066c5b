#include "kernels/dispatch.h"

#include "kernels/isa_tables.h"
#if defined(VOXHOP_KERNELS_AVX_VNNI)
#include <cpuid.h>
#endif
#if defined(VOXHOP_KERNELS_AMX)
#include "kernels/amx_permission.h"
#endif
#if defined(VOXHOP_KERNELS_NEON) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace voxhop::kernels {
namespace {

struct Entry {
  KernelTable table;
  bool (*permitted)() = nullptr;  // null: there is nothing to ask for
};

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

#if defined(VOXHOP_KERNELS_AVX_VNNI)
// Asked of the CPU itself: not every compiler's probe knows the name. Vectors are AVX2's, whose
// register state has been found.
bool has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}
#endif

KernelTable best_avx2_table() {
  KernelTable table = avx2_table();
#if defined(VOXHOP_KERNELS_AVX_VNNI)
  if (has_avx_vnni()) table.conv_s8 = avx2_vnni_conv();
#endif
  return table;
}

KernelTable best_avx512_table() {
  KernelTable table = avx512_table();
  const KernelTable narrow = best_avx2_table();
  table.conv_bf16 = __builtin_cpu_supports("avx512bf16") ? avx512_bf16_conv() : narrow.conv_bf16;
  table.conv_s8 = __builtin_cpu_supports("avx512vnni") ? avx512_vnni_conv() : narrow.conv_s8;
  return table;
}

#if defined(VOXHOP_KERNELS_AMX)
Entry amx_entry() {
  Entry entry{best_avx512_table(), amx_permitted};
  entry.table.isa = "amx";
  entry.table.conv_bf16 = amx_bf16_conv();
  entry.table.conv_s8 = amx_s8_conv();
  return entry;
}
#endif

std::vector<Entry> make_entries() {
  __builtin_cpu_init();
  std::vector<Entry> entries;
#if defined(VOXHOP_KERNELS_AMX)
  if (has_avx512() && amx_present()) entries.push_back(amx_entry());
#endif
  if (has_avx512()) entries.push_back({best_avx512_table()});
  if (has_avx2()) entries.push_back({best_avx2_table()});
  entries.push_back({scalar_table()});
  return entries;
}

#elif defined(VOXHOP_KERNELS_NEON)

bool has_dotprod() {
#if defined(__ARM_FEATURE_DOTPROD)
  return true;  // every CPU that this build is for, such as Apple's
#elif defined(__linux__)
  constexpr unsigned long dotprod = 1ul << 20;  // HWCAP_ASIMDDP, which older headers lack
  return (getauxval(AT_HWCAP) & dotprod) != 0;
#else
  return false;
#endif
}

KernelTable best_neon_table() {
  KernelTable table = neon_table();
  if (has_dotprod()) table.conv_s8 = neon_dotprod_conv();
  return table;
}

std::vector<Entry> make_entries() {
  return {{best_neon_table()}, {scalar_table()}};
}

#else

std::vector<Entry> make_entries() {
  return {{scalar_table()}};
}

#endif

const std::vector<Entry> & entries() {
  static const std::vector<Entry> all = make_entries();
  return all;
}

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Entry & entry : entries()) names.emplace_back(entry.table.isa);
  return names;
}

const KernelTable * find_table(const std::string & isa, bool narrow) {
  for (const Entry & entry : entries()) {
    const bool asks = entry.permitted != nullptr;
    const bool wanted = isa == "auto" ? narrow || !asks : isa == entry.table.isa;
    if (wanted && (!asks || entry.permitted())) return &entry.table;
  }
  return nullptr;
}

}  // namespace voxhop::kernels
