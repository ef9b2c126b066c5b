#include "core/worker_pool.h"

#include <system_error>

#include "core/flush_denormals.h"
#include "core/status.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace voxhop {
namespace {

// About 20 to 50 microseconds: longer than the gaps between the blocks of a hop, far
// shorter than the gap between two hops.
constexpr int kSpins = 1000;

void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <class Done>
bool spin_until(Done done) {
  for (int i = 0; i < kSpins; ++i) {
    if (done()) return true;
    relax();
  }
  return false;
}

}  // namespace

WorkerPool::WorkerPool(int n_threads, bool flushes_denormals) {
  try {
    for (int i = 1; i < n_threads; ++i) {
      threads_.emplace_back([this, i, flushes_denormals] {
        const FlushDenormals flush(flushes_denormals);
        worker_loop(i);
      });
    }
  } catch (const std::system_error & e) {
    join_all();
    fail(VH_E_MEMORY, "n_threads %d: %s", n_threads, e.what());
  }
}

WorkerPool::~WorkerPool() {
  join_all();
}

void WorkerPool::join_all() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_.store(true);
  }
  wake_workers_.notify_all();
  for (std::thread & thread : threads_) {
    thread.join();
  }
}

void WorkerPool::run_job(int chunks, Call call, void * context) {
  if (threads_.empty() || chunks <= 1) {
    for (int i = 0; i < chunks; ++i) call(context, i, 0);
    return;
  }
  call_ = call;
  context_ = context;
  unfinished_.store(chunks, std::memory_order_relaxed);
  const uint64_t number = (job_.load(std::memory_order_relaxed) >> 32) + 1;
  job_.store(number << 32 | static_cast<uint64_t>(chunks));
  if (sleepers_.load() > 0) {
    // The empty lock orders this with a worker that is about to sleep.
    {
      const std::lock_guard<std::mutex> lock(mutex_);
    }
    wake_workers_.notify_all();
  }
  work(0);
  const auto done = [this] { return unfinished_.load(std::memory_order_acquire) == 0; };
  if (spin_until(done)) return;
  std::unique_lock<std::mutex> lock(mutex_);
  caller_sleeps_.store(true);
  wake_caller_.wait(lock, done);
  caller_sleeps_.store(false);
}

void WorkerPool::work(int worker) {
  uint64_t job = job_.load();
  while ((job & kChunkMask) != 0) {
    if (!job_.compare_exchange_weak(job, job - 1)) continue;
    call_(context_, static_cast<int>((job & kChunkMask) - 1), worker);
    if (unfinished_.fetch_sub(1) == 1 && caller_sleeps_.load()) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
      }
      wake_caller_.notify_one();
    }
    job = job_.load();
  }
}

void WorkerPool::worker_loop(int worker) {
  while (!stop_.load(std::memory_order_relaxed)) {
    const auto seen = static_cast<uint32_t>(job_.load() >> 32);
    work(worker);
    const auto news = [&] {
      return stop_.load(std::memory_order_relaxed) ||
             static_cast<uint32_t>(job_.load(std::memory_order_acquire) >> 32) != seen;
    };
    if (spin_until(news)) continue;
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1);
    wake_workers_.wait(lock, news);
    sleepers_.fetch_sub(1);
  }
}

}  // namespace voxhop
