// Every kernel on every instruction set of this CPU against a loop in double precision, at
// sizes around the vector widths and on unaligned pointers. Limits are relative to the sum
// of magnitudes, 4 * 2^-24 * sqrt(n) for a sum of n products.
#include "checks.h"
#include "kernels/dispatch.h"
#include "kernels/isa_tables.h"

using namespace voxhop::kernels;

namespace {

// int8 as it is computed on CPUs without the dot products that this one may have.
void check_without_dot_products(FirstBits & bits, Report & report) {
#if defined(VOXHOP_KERNELS_X86)
  if (find_table("avx2") == nullptr) return;
  KernelTable plain = avx2_table();
  plain.isa = "avx2 without VNNI";
#elif defined(VOXHOP_KERNELS_NEON)
  KernelTable plain = neon_table();
  plain.isa = "neon without dot products";
#else
  KernelTable plain = scalar_table();
#endif
  std::printf("%s\n", plain.isa);
  check_convs(plain, bits, report);
}

}  // namespace

// kernel_test [ISA]
int main(int argc, char ** argv) {
  Report report;
  FirstBits bits;
  for (const std::string & isa : available_isas()) {
    if (argc > 1 && isa != argv[1]) continue;
    std::printf("%s\n", isa.c_str());
    if (find_table(isa) == nullptr) {
      report.check(isa + ": refused by the operating system", 1, 0);
      continue;
    }
    const KernelTable & table = *find_table(isa);
    check_convs(table, bits, report);
    check_winograd(table, report);
    check_rings(table, report);
    check_rows(table, report);
  }
  if (argc == 1) check_without_dot_products(bits, report);
  return report.finish();
}
