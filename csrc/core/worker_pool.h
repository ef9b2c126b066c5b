// Threads that share one job at a time, waiting by a bounded spin and then asleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace voxhop {

/// Every worker has a share of a job's chunks, the same one whenever a job has as many, so that
/// what they read stays in that core's cache from one time to the next. Whoever is done with its
/// own helps the others, from the far end of theirs: the calling thread takes part in every job
/// and can finish it alone, and a worker that the system does not run delays nothing but the
/// chunk it holds. Nobody spins for more than some tens of microseconds; an idle pool sleeps.
/// run() belongs to one thread at a time and allocates nothing.
class WorkerPool {
 public:
  /// A chunk to be done.
  struct Turn {
    int chunk;
    int worker;  // in [0, size()), 0 is the caller
    bool first;  // of this worker in this job; may be said again when it came while it began
  };

  /// `n_threads` including the caller, at least 1; in the others denormal numbers are zeros if
  /// so asked. Throws std::system_error.
  explicit WorkerPool(int n_threads, bool flushes_denormals = false);
  ~WorkerPool();
  WorkerPool(const WorkerPool &) = delete;
  WorkerPool & operator=(const WorkerPool &) = delete;

  int size() const { return static_cast<int>(shares_.size()); }

  /// Wakes the workers for a job that is about to come.
  void wake();

  /// Calls task(turn) for every chunk in [0, chunks), chunks at most kMostChunks, in any order
  /// and on any thread, and returns when all are done. Chunk 0 is the caller's.
  template <class Task>
  void run(int chunks, Task task) {
    run_job(
        chunks, [](void * context, const Turn & turn) { (*static_cast<Task *>(context))(turn); },
        &task);
  }

  static constexpr int kMostChunks = 100000;

 private:
  using Call = void (*)(void * context, const Turn & turn);

  // Chunks not yet claimed, [first, end), and the number of the job: one word, so that a worker
  // that wakes late cannot claim from a job it has not seen.
  struct alignas(64) Share {
    std::atomic<uint64_t> left{0};
  };

  void run_job(int chunks, Call call, void * context);
  void worker_loop(int worker);
  void join_all();
  /// Does chunks of the current job until none is left; `done` were done before.
  void work(int worker, int done);

  std::vector<Share> shares_;
  uint32_t number_ = 0;
  std::atomic<int> unfinished_{0};
  std::atomic<bool> stop_{false};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> caller_sleeps_{false};
  // Written before a job's shares are published, read after a claim.
  Call call_ = nullptr;
  void * context_ = nullptr;
  std::mutex mutex_;
  std::condition_variable wake_workers_;
  std::condition_variable wake_caller_;
  std::vector<std::thread> threads_;
};

}  // namespace voxhop
