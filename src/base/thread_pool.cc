#include "base/thread_pool.h"

#include <immintrin.h>
#include <sched.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace inferno {
namespace {

// Pauses before a waiting thread parks: about 100 microseconds, longer than the gaps between the
// operations of a layer and shorter than what a sleeping neighbour on the same core would notice.
constexpr int kSpins = 2000;

// Pieces per thread when the work is large: enough that a thread that lost its core for a moment
// does not hold up the others, few enough that the shared counter stays cold.
constexpr int kPiecesPerThread = 4;

}  // namespace

ThreadPool::ThreadPool(int threads) {
  CHECK(threads >= 1, "a pool of {} threads", threads);
  for (int worker = 1; worker < threads; ++worker) {
    threads_.emplace_back([this, worker] { serve(worker); });
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& thread : threads_)
    thread.join();
}

Result<void> ThreadPool::pin_workers(std::vector<int> cpus, PlacementCalls& calls) {
  CHECK(cpus.empty() || cpus.size() == threads_.size() + 1, "{} CPUs for {} workers", cpus.size(),
        threads_.size() + 1);
  cpus_ = std::move(cpus);
  calls_ = &calls;
  for (size_t worker = 1; worker < cpus_.size(); ++worker) {
    auto pinned = calls.pin(threads_[worker - 1].native_handle(), cpus_[worker]);
    if (!pinned) return pinned;
  }
  return {};
}

Result<void> ThreadPool::pin_caller() {
  if (cpus_.empty()) return {};
  return calls_->pin(pthread_self(), cpus_.front());
}

void ThreadPool::run(const Job& job) {
  if (job.count <= 0) return;
  job_ = job;
  const int pieces = size() * kPiecesPerThread;
  job_.grain = std::max(job.grain, (job.count / pieces / job.grain) * job.grain);
  next_.store(0, std::memory_order_relaxed);
  if (threads_.empty() || job_.count <= job_.grain) {
    take_pieces(0);
    return;
  }
  busy_.store(static_cast<int>(threads_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  take_pieces(0);
  for (int spins = 0; busy_.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < kSpins) {
      _mm_pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadPool::take_pieces(int worker) {
  for (;;) {
    const int begin = next_.fetch_add(job_.grain, std::memory_order_relaxed);
    if (begin >= job_.count) return;
    job_.call(job_.context, Range{begin, std::min(begin + job_.grain, job_.count)}, worker);
  }
}

void ThreadPool::serve(int worker) {
  uint32_t seen = 0;
  for (;;) {
    uint32_t now = generation_.load(std::memory_order_acquire);
    for (int spins = 0; now == seen && spins < kSpins; ++spins) {
      _mm_pause();
      now = generation_.load(std::memory_order_acquire);
    }
    if (now == seen) {
      generation_.wait(seen, std::memory_order_acquire);
      continue;
    }
    seen = now;
    if (stopping_.load(std::memory_order_relaxed)) return;
    take_pieces(worker);
    busy_.fetch_sub(1, std::memory_order_release);
  }
}

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) {
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace inferno
