// Threads that compute: one call, all threads, one barrier.
//
//   pool.parallel_for(panels, 4, [&](Range range, int worker) { ... });
//
// The range [0, count) is cut at multiples of `grain`: one large piece for each thread, three
// quarters of the whole together, and small ones of the rest, so that a thread that was held up
// leaves little for the others to wait for. Threads take pieces from a shared counter until none is
// left, and the call returns when all are done. Which thread computes a piece is left to chance, so
// a piece must only write outputs of its own; then the result never depends on the number of
// threads.
//
// Threads: parallel_for belongs to one thread (the engine's), which takes part as worker 0. The
//          others spin for a while after a piece of work, because the next one usually follows
//          within microseconds, and park on a futex when it does not.
// Cost:    about a microsecond a call while the threads spin; no allocation.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

#include "base/placement.h"
#include "base/result.h"

namespace inferno {

struct Range {
  int begin = 0;
  int end = 0;
};

class ThreadPool {
 public:
  // `threads` counts the calling thread: 1 starts none. Requires: threads >= 1.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  // Calls of parallel_for() so far that more than one thread was woken for. Belongs to the thread
  // that calls parallel_for().
  int64_t barrier_count() const { return barrier_count_; }

  // Pins worker i to cpus[i] (as plan_placement() chose them), except worker 0, which calls
  // pin_caller() itself. An empty list pins nobody: a thread that may move is the right default
  // where other programs run too. Fails with what `calls` said of the first worker it could not
  // pin; those before it stay pinned. Requires: cpus is empty or has size() entries; nobody is in
  // parallel_for(); `calls` outlives the pool.
  Result<void> pin_workers(std::vector<int> cpus, PlacementCalls& calls = system_placement_calls());

  // Pins the calling thread as worker 0, where pin_workers() was given CPUs; else does nothing.
  // To be called once by the thread that will call parallel_for(), not by one that goes on to start
  // others: a thread begins with the mask of the one that started it.
  Result<void> pin_caller();

  // Calls body(Range, worker) for disjoint ranges that cover [0, count); worker is in [0, size()).
  // Requires: grain >= 1. The body must not throw and must not call parallel_for.
  template <typename Body>
  void parallel_for(int count, int grain, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run(Job{.call = [](void* context, Range range,
                       int worker) { (*static_cast<Plain*>(context))(range, worker); },
            .context = const_cast<void*>(static_cast<const void*>(&body)),
            .count = count,
            .grain = grain});
  }

 private:
  struct Job {
    void (*call)(void* context, Range range, int worker) = nullptr;
    void* context = nullptr;
    int count = 0;
    int grain = 1;
  };

  void run(const Job& job);
  void cut();
  int begin_of(int piece) const;
  void take_pieces(int worker);
  void serve(int worker);

  Job job_;
  int large_ = 0;   // grains of each of the first size() pieces
  int small_ = 1;   // and of each of the others
  int pieces_ = 0;  // of both
  int64_t barrier_count_ = 0;
  alignas(64) std::atomic<int> next_{0};
  alignas(64) std::atomic<uint32_t> generation_{0};
  alignas(64) std::atomic<int> busy_{0};
  alignas(64) std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
  std::vector<int> cpus_;  // of worker i; empty: not pinned
  PlacementCalls* calls_ = nullptr;
};

// Cores this process may run on (its affinity mask), at least 1.
int available_cores();

}  // namespace inferno
