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

// A share in one word: job, first chunk, end.
constexpr int kBits = 20;  // of a chunk
static_assert(WorkerPool::kMostChunks < 1 << kBits, "must fit");
constexpr uint64_t kFirstUnit = uint64_t{1} << kBits;

constexpr uint64_t word_of(uint32_t job, int first, int end) {
  return static_cast<uint64_t>(job) << 2 * kBits | static_cast<uint64_t>(first) << kBits |
         static_cast<uint64_t>(end);
}
constexpr uint64_t job_in(uint64_t word) {
  return word >> 2 * kBits;
}
constexpr int first_in(uint64_t word) {
  return static_cast<int>(word >> kBits & (kFirstUnit - 1));
}
constexpr int end_in(uint64_t word) {
  return static_cast<int>(word & (kFirstUnit - 1));
}

// The first chunk of a worker's share; rounded up, so that the caller has one.
constexpr int first_of(int worker, int chunks, int workers) {
  return static_cast<int>((int64_t{worker} * chunks + workers - 1) / workers);
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

WorkerPool::WorkerPool(int n_threads, bool flushes_denormals)
    : shares_(static_cast<size_t>(n_threads)) {
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

void WorkerPool::wake() {
  if (sleepers_.load() == 0) return;
  // The empty lock orders this with a worker that is about to sleep.
  {
    const std::lock_guard<std::mutex> lock(mutex_);
  }
  wake_workers_.notify_all();
}

void WorkerPool::run_job(int chunks, Call call, void * context) {
  if (chunks <= 0) return;
  if (threads_.empty() || chunks == 1) {
    for (int i = 0; i < chunks; ++i) call(context, {i, 0, i == 0});
    return;
  }
  call_ = call;
  context_ = context;
  unfinished_.store(chunks, std::memory_order_relaxed);
  ++number_;
  // Others first: the caller is here already. Its first chunk is claimed from the start.
  for (int worker = size() - 1; worker >= 0; --worker) {
    const int first = worker == 0 ? 1 : first_of(worker, chunks, size());
    shares_[static_cast<size_t>(worker)].left.store(
        word_of(number_, first, first_of(worker + 1, chunks, size())));
  }
  wake();
  call(context, {0, 0, true});
  work(0, 1);
  const auto done = [this] { return unfinished_.load(std::memory_order_acquire) == 0; };
  if (spin_until(done)) return;
  std::unique_lock<std::mutex> lock(mutex_);
  caller_sleeps_.store(true);
  wake_caller_.wait(lock, done);
  caller_sleeps_.store(false);
}

void WorkerPool::work(int worker, int done) {
  for (int i = 0; i < size(); ++i) {
    const int owner = (worker + i) % size();
    std::atomic<uint64_t> & left = shares_[static_cast<size_t>(owner)].left;
    uint64_t word = left.load();
    while (first_in(word) < end_in(word)) {
      const bool own = owner == worker;
      const uint64_t rest = own ? word + kFirstUnit : word - 1;
      if (!left.compare_exchange_weak(word, rest)) continue;
      call_(context_, {own ? first_in(word) : end_in(word) - 1, worker, done++ == 0});
      word = left.load();
    }
  }
  if (done == 0 || unfinished_.fetch_sub(done) != done || !caller_sleeps_.load()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
  }
  wake_caller_.notify_one();
}

void WorkerPool::worker_loop(int worker) {
  const std::atomic<uint64_t> & left = shares_[static_cast<size_t>(worker)].left;
  while (!stop_.load(std::memory_order_relaxed)) {
    const uint64_t seen = job_in(left.load());
    work(worker, 0);
    const auto news = [&] {
      return stop_.load(std::memory_order_relaxed) || job_in(left.load()) != seen;
    };
    if (spin_until(news)) continue;
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1);
    wake_workers_.wait(lock, news);
    sleepers_.fetch_sub(1);
  }
}

}  // namespace voxhop
