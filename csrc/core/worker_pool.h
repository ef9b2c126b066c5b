// Threads that share one job at a time, waiting by a bounded spin and then asleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace voxhop {

/// The calling thread takes part in every job and can finish it alone: chunks are claimed
/// one by one, so a worker that the system does not run delays nothing but the chunk it
/// holds. Nobody spins for more than some tens of microseconds; an idle pool sleeps.
/// run() belongs to one thread at a time and allocates nothing.
class WorkerPool {
 public:
  /// `n_threads` including the caller, at least 1; in the others denormal numbers are zeros if
  /// so asked. Throws std::system_error.
  explicit WorkerPool(int n_threads, bool flushes_denormals = false);
  ~WorkerPool();
  WorkerPool(const WorkerPool &) = delete;
  WorkerPool & operator=(const WorkerPool &) = delete;

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  /// Calls task(chunk, worker) for every chunk in [0, chunks), worker in [0, size()),
  /// in any order and on any thread, and returns when all are done.
  template <class Task>
  void run(int chunks, Task task) {
    run_job(
        chunks,
        [](void * context, int chunk, int worker) {
          (*static_cast<Task *>(context))(chunk, worker);
        },
        &task);
  }

 private:
  using Call = void (*)(void * context, int chunk, int worker);

  void run_job(int chunks, Call call, void * context);
  void worker_loop(int worker);
  void join_all();
  /// Takes chunks of the current job until none is left.
  void work(int worker);

  static constexpr uint64_t kChunkMask = 0xffffffffu;

  // Upper half: number of the job; lower half: chunks not yet claimed. One word, so that
  // a worker that wakes late cannot claim from a job it has not seen.
  std::atomic<uint64_t> job_{0};
  std::atomic<int> unfinished_{0};
  std::atomic<bool> stop_{false};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> caller_sleeps_{false};
  // Written before job_ is published, read after a claim.
  Call call_ = nullptr;
  void * context_ = nullptr;
  std::mutex mutex_;
  std::condition_variable wake_workers_;
  std::condition_variable wake_caller_;
  std::vector<std::thread> threads_;
};

}  // namespace voxhop
