// The worker pool under load: every chunk runs exactly once, whoever runs it, the first by the
// caller, and a worker is told that a job is new to it, with jobs so short and so many that
// claims, sleeps and wake-ups collide. Meant for ThreadSanitizer.
// And the policy that keeps hops off it while no core is free.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "core/share_policy.h"
#include "core/worker_pool.h"

namespace {

// Plain, not atomic: a chunk that ran twice, or a result read too early, is a data race.
int lost_chunks(voxhop::WorkerPool & pool, int jobs, bool pauses) {
  int wrong = 0;
  for (int job = 0; job < jobs; ++job) {
    std::vector<int> hits(static_cast<size_t>(job % 23));
    std::vector<char> bad_worker(hits.size());
    std::vector<int> begun(static_cast<size_t>(pool.size())), done(begun.size());
    pool.run(static_cast<int>(hits.size()), [&](const voxhop::WorkerPool::Turn & turn) {
      const auto at = static_cast<size_t>(turn.chunk);
      ++hits[at];
      bad_worker[at] =
          turn.worker < 0 || turn.worker >= pool.size() || (at == 0 && turn.worker != 0);
      begun[static_cast<size_t>(turn.worker)] += turn.first;
      ++done[static_cast<size_t>(turn.worker)];
    });
    for (size_t i = 0; i < done.size(); ++i) wrong += (begun[i] > 0) != (done[i] > 0);
    for (size_t i = 0; i < hits.size(); ++i) wrong += hits[i] != 1 || bad_worker[i] != 0;
    // Long enough for the workers to go to sleep.
    if (pauses && job % 50 == 0) std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  return wrong;
}

using std::chrono::milliseconds;

// Hops that run alone until the next shared one, which takes `time` and is counted, too.
int hops_alone(voxhop::SharePolicy & policy, milliseconds time) {
  int alone = 0;
  while (!policy.share()) {
    policy.took(milliseconds(1));
    ++alone;
  }
  policy.took(time);
  return alone;
}

int wrong_rests() {
  voxhop::SharePolicy policy;
  int wrong = 0;
  const auto expect = [&](int found, int wanted) { wrong += found != wanted; };
  const milliseconds fast(1), slow(4), just_not_slow(3);
  expect(hops_alone(policy, fast), 0);
  expect(hops_alone(policy, just_not_slow), 0);  // twice the fastest and 1 ms
  expect(hops_alone(policy, slow), 0);
  // The rest doubles with every slow hop and stays bounded.
  for (const int rest : {8, 16, 32, 64, 128, 256, 512, 512}) expect(hops_alone(policy, slow), rest);
  expect(hops_alone(policy, fast), 512);
  // It halves after as many good hops, one slow hop among them or not, down to the shortest.
  for (int i = 1; i < 512; ++i) expect(hops_alone(policy, fast), 0);
  expect(hops_alone(policy, slow), 0);
  expect(hops_alone(policy, fast), 256);
  for (int good = 0; good < 2 * 512; ++good) expect(hops_alone(policy, fast), 0);
  expect(hops_alone(policy, slow), 0);
  expect(hops_alone(policy, fast), 8);
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
  const int rests = wrong_rests();
  std::printf("%d wrong chunks, %d wrong rests\n", wrong, rests);
  return wrong + rests == 0 ? 0 : 1;
}
