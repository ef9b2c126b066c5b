#include "kernels/dispatch.h"

#include "kernels/isa_tables.h"
#if defined(VOXHOP_KERNELS_AMX)
#include "kernels/amx_permission.h"
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

KernelTable best_avx512_table() {
  KernelTable table = avx512_table();
  const KernelTable narrow = avx2_table();
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
  if (has_avx2()) entries.push_back({avx2_table()});
  entries.push_back({scalar_table()});
  return entries;
}

#elif defined(VOXHOP_KERNELS_NEON)

std::vector<Entry> make_entries() {
  return {{neon_table()}, {scalar_table()}};
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
