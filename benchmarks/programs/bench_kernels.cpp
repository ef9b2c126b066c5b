// Rate of each kernel against the multiply-add peak of its instruction set, measured in the
// same run. CPU time of the thread, minimum and median over rounds; all contenders take
// turns in every round, so that they meet the same weather.
//
//   bench_kernels [rounds] [isa]
//
// One line per contender, tab separated: isa, kernel, us min, us median, GMAC/s by the
// minimum, share of the f32 peak. Winograd's GMAC/s count the work of the direct form.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "kernel_calls.h"
#include "kernels/dispatch.h"

namespace {

using namespace voxhop::kernels;

double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

struct Contender {
  KernelCall call;
  std::vector<double> seconds;
};

void report(const std::string & isa, std::vector<Contender> & all) {
  double peak = 0.0;
  for (Contender & c : all) {
    std::sort(c.seconds.begin(), c.seconds.end());
    const double best = c.seconds.front();
    const double gmacs = c.call.macs / best / 1e9;
    if (c.call.name == "peak") peak = gmacs;
    std::printf("%s\t%s\t%.2f\t%.2f\t%.1f\t%.3f\n", isa.c_str(), c.call.name.c_str(), 1e6 * best,
                1e6 * c.seconds[c.seconds.size() / 2], gmacs, gmacs / peak);
  }
}

}  // namespace

int main(int argc, char ** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 100;
  for (const std::string & isa : available_isas()) {
    if ((argc > 2 && isa != argv[2]) || find_table(isa) == nullptr) continue;
    const KernelTable & table = *find_table(isa);
    float sink[16];
    constexpr int burst = 20000;
    std::vector<Contender> all;
    all.push_back({{"peak", static_cast<double>(table.fma_burst(burst, sink)),
                    [&] { table.fma_burst(burst, sink); }},
                   {}});
    for (KernelCall & call : kernel_calls(table)) all.push_back({std::move(call), {}});
    for (int round = 0; round < rounds; ++round) {
      for (Contender & c : all) {
        c.call.run();  // its caches, its clock
        const double start = cpu_seconds();
        c.call.run();
        c.seconds.push_back(cpu_seconds() - start);
      }
    }
    report(isa, all);
  }
  return 0;
}
