#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace inferno {
namespace {

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

}  // namespace
}  // namespace inferno
