// Every kernel on every instruction set of this CPU against a loop in double precision, at
// sizes around the vector widths and on unaligned pointers. Limits are relative to the sum
// of magnitudes, 4 * 2^-24 * sqrt(n) for a sum of n products.
#include "checks.h"
#include "kernels/dispatch.h"

using namespace voxhop::kernels;

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
  return report.finish();
}
