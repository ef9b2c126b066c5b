// Runs every kernel once between two marks that benchmarks/programs/count_plugin.c looks for, and prints the
// kernels' names in that order. A mark is a system call that does nothing.
//
//   count_kernels ISA
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>

#include "count_mark.h"
#include "kernel_calls.h"
#include "kernels/dispatch.h"

int main(int argc, char ** argv) {
  const voxhop::kernels::KernelTable * table =
      argc == 2 ? voxhop::kernels::find_table(argv[1]) : nullptr;
  if (table == nullptr) {
    std::fprintf(stderr, "usage: count_kernels ISA, one that this CPU has\n");
    return 2;
  }
  const auto mark = [] { syscall(SYS_dup, -1L, kCountMark); };
  std::vector<KernelCall> calls = kernel_calls(*table);
  calls.insert(calls.begin(), {"nothing", 0, [] {}});
  for (const KernelCall & call : calls) {
    mark();
    call.run();
    mark();
    std::printf("%s\n", call.name.c_str());
  }
  return 0;
}
