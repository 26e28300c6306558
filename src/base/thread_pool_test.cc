#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <chrono>
#include <thread>
#include <utility>
#include <vector>

namespace inferno {
namespace {

TEST(ThreadPool, CountsTheCallsThatOthersTookPartIn) {
  ThreadPool pool(2);
  const auto nothing = [](Range, int) {};
  pool.parallel_for(10, 1, nothing);
  pool.parallel_for(10, 4, nothing);
  EXPECT_EQ(pool.barrier_count(), 2);
  pool.parallel_for(0, 1, nothing);
  pool.parallel_for(4, 4, nothing);  // one piece: the caller's
  EXPECT_EQ(pool.barrier_count(), 2);
  ThreadPool alone(1);
  alone.parallel_for(10, 1, nothing);
  EXPECT_EQ(alone.barrier_count(), 0);
}

TEST(ThreadPool, CoversEveryIndexOnce) {
  for (int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    for (int count : {0, 1, 2, 3, 7, 64, 1000}) {
      for (int grain : {1, 3, 16}) {
        std::vector<int> visits(static_cast<size_t>(count), 0);
        pool.parallel_for(count, grain, [&](Range range, int worker) {
          EXPECT_GE(worker, 0);
          EXPECT_LT(worker, threads);
          for (int i = range.begin; i < range.end; ++i)
            ++visits[static_cast<size_t>(i)];
        });
        for (int visited : visits)
          EXPECT_EQ(visited, 1);
      }
    }
  }
}

TEST(ThreadPool, PiecesStartAtMultiplesOfTheGrain) {
  ThreadPool pool(2);
  pool.parallel_for(1000, 4, [](Range range, int) { EXPECT_EQ(range.begin % 4, 0); });
}

TEST(ThreadPool, WorksAgainAfterItsThreadsParked) {
  ThreadPool pool(2);
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> sum{0};
    pool.parallel_for(100, 1, [&](Range range, int) { sum += range.end - range.begin; });
    EXPECT_EQ(sum.load(), 100);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

TEST(ThreadPool, AvailableCoresIsPositive) {
  EXPECT_GE(available_cores(), 1);
}

// Remembers which thread was pinned where; refuses CPU 9.
class PinRecorder : public PlacementCalls {
 public:
  Result<void> pin(pthread_t thread, int cpu) override {
    if (cpu == 9) return fail(Fault::kInvalid, "CPU 9 is offline");
    pinned.emplace_back(thread, cpu);
    return {};
  }
  Result<void> place(std::span<uint8_t>, const MemoryPlacement&) override { return {}; }
  std::vector<std::pair<pthread_t, int>> pinned;
};

TEST(ThreadPool, PinsEachWorkerToItsCpuAndTheCallerWhenItAsks) {
  PinRecorder calls;
  ThreadPool pool(3);
  ASSERT_TRUE(pool.pin_workers({4, 6, 8}, calls));
  ASSERT_EQ(calls.pinned.size(), 2u);
  EXPECT_EQ(calls.pinned[0].second, 6);
  EXPECT_EQ(calls.pinned[1].second, 8);
  EXPECT_FALSE(pthread_equal(calls.pinned[0].first, calls.pinned[1].first));
  ASSERT_TRUE(pool.pin_caller());
  ASSERT_EQ(calls.pinned.size(), 3u);
  EXPECT_EQ(calls.pinned[2].second, 4);
  EXPECT_TRUE(pthread_equal(calls.pinned[2].first, pthread_self()));
}

TEST(ThreadPool, PinsNobodyUnlessTold) {
  PinRecorder calls;
  ThreadPool pool(2);
  ASSERT_TRUE(pool.pin_caller());
  ASSERT_TRUE(pool.pin_workers({}, calls));
  ASSERT_TRUE(pool.pin_caller());
  EXPECT_TRUE(calls.pinned.empty());
}

TEST(ThreadPool, SaysWhichCpuAWorkerCouldNotBePinnedTo) {
  PinRecorder calls;
  ThreadPool pool(3);
  const auto pinned = pool.pin_workers({0, 1, 9}, calls);
  ASSERT_FALSE(pinned);
  EXPECT_EQ(pinned.error().message, "CPU 9 is offline");
}

TEST(ThreadPool, PinnedWorkersRunOnTheirCpus) {
  const std::vector<int> usable = UsablePlaces::of_this_process().cpus;
  if (usable.size() < 2) GTEST_SKIP() << "this process may use one CPU only";
  std::thread([&usable] {
    const std::vector<int> cpus = {usable[1], usable[0]};
    ThreadPool pool(2);
    ASSERT_TRUE(pool.pin_workers(cpus));
    ASSERT_TRUE(pool.pin_caller());
    pool.parallel_for(1000, 1, [&](Range, int worker) {
      EXPECT_EQ(sched_getcpu(), cpus[static_cast<size_t>(worker)]);
    });
  }).join();
}

}  // namespace
}  // namespace inferno
