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

// A small piece is this part of a thread's share of large work: little to wait for at the end, and
// few enough that the shared counter stays cold.
constexpr int kSmallPiecesPerShare = 32;

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
  if (threads_.empty() || job.count <= job.grain) {
    job.call(job.context, Range{0, job.count}, 0);
    return;
  }
  ++barrier_count_;
  job_ = job;
  cut();
  next_.store(0, std::memory_order_relaxed);
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

void ThreadPool::cut() {
  const int grains = (job_.count + job_.grain - 1) / job_.grain;
  large_ = grains * 3 / (4 * size());
  small_ = std::max(1, grains / (kSmallPiecesPerShare * size()));
  const int left = grains - large_ * size();
  pieces_ = (large_ > 0 ? size() : 0) + (left + small_ - 1) / small_;
}

int ThreadPool::begin_of(int piece) const {
  const int large_pieces = large_ > 0 ? size() : 0;
  if (piece <= large_pieces) return piece * large_ * job_.grain;
  return (large_pieces * large_ + (piece - large_pieces) * small_) * job_.grain;
}

void ThreadPool::take_pieces(int worker) {
  for (;;) {
    const int piece = next_.fetch_add(1, std::memory_order_relaxed);
    if (piece >= pieces_) return;
    const int end = std::min(begin_of(piece + 1), job_.count);
    job_.call(job_.context, Range{begin_of(piece), end}, worker);
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
