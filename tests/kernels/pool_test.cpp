// The worker pool under load: every chunk runs exactly once, whoever runs it, with jobs so
// short and so many that claims, sleeps and wake-ups collide. Meant for ThreadSanitizer.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "core/worker_pool.h"

namespace {

// Plain, not atomic: a chunk that ran twice, or a result read too early, is a data race.
int lost_chunks(voxhop::WorkerPool & pool, int jobs, bool pauses) {
  int wrong = 0;
  for (int job = 0; job < jobs; ++job) {
    std::vector<int> hits(static_cast<size_t>(job % 23));
    std::vector<char> bad_worker(hits.size());
    pool.run(static_cast<int>(hits.size()), [&](int chunk, int worker) {
      const auto at = static_cast<size_t>(chunk);
      ++hits[at];
      bad_worker[at] = worker < 0 || worker >= pool.size();
    });
    for (size_t i = 0; i < hits.size(); ++i) wrong += hits[i] != 1 || bad_worker[i] != 0;
    // Long enough for the workers to go to sleep.
    if (pauses && job % 50 == 0) std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  return wrong;
}

}  // namespace

int main() {
  int wrong = 0;
  for (const int threads : {1, 2, 3, 8}) {
    voxhop::WorkerPool pool(threads);
    wrong += pool.size() != threads;
    wrong += lost_chunks(pool, 20000, false);
    wrong += lost_chunks(pool, 2000, true);
  }
  // Pools that are never used, or thrown away asleep or spinning.
  for (int i = 0; i < 50; ++i) {
    voxhop::WorkerPool pool(1 + i % 4);
    if (i % 2 != 0) wrong += lost_chunks(pool, 3, false);
  }
  std::printf("%d wrong chunks\n", wrong);
  return wrong == 0 ? 0 : 1;
}
