#include "serve/work_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>

namespace inferno::serve {
namespace {

TEST(WorkQueue, RunsEveryTaskItTook) {
  std::promise<void> done;
  std::atomic<int> run_count = 0;
  WorkQueue queue(2, 1000);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(queue.try_post([&] {
      if (++run_count == 100) done.set_value();
    }));
  }
  done.get_future().wait();
  EXPECT_EQ(run_count, 100);
}

TEST(WorkQueue, RefusesWhatExceedsItsLimit) {
  std::promise<void> begun;
  std::promise<void> go;
  WorkQueue queue(1, 2);
  ASSERT_TRUE(queue.try_post([&] {
    begun.set_value();
    go.get_future().wait();
  }));
  begun.get_future().wait();
  EXPECT_TRUE(queue.try_post([] {}));
  EXPECT_TRUE(queue.try_post([] {}));
  EXPECT_FALSE(queue.try_post([] {}));
  go.set_value();
}

TEST(WorkQueue, GoesOnAfterATaskThatThrows) {
  std::promise<void> done;
  WorkQueue queue(1, 10);
  ASSERT_TRUE(queue.try_post([] { throw std::runtime_error("a test's exception"); }));
  ASSERT_TRUE(queue.try_post([&] { done.set_value(); }));
  done.get_future().wait();
}

TEST(WorkQueue, RunsWhatItHasTakenBeforeItEnds) {
  int done = 0;
  {
    WorkQueue queue(1, 10);
    for (int i = 0; i < 5; ++i)
      ASSERT_TRUE(queue.try_post([&] { ++done; }));
    queue.stop();
    EXPECT_FALSE(queue.try_post([&] { ++done; }));
  }
  EXPECT_EQ(done, 5);
}

TEST(WorkQueue, ATaskMayLetGoOfTheQueue) {
  std::promise<void> done;
  auto queue = std::make_shared<WorkQueue>(1, 10);
  std::promise<void> go;
  ASSERT_TRUE(queue->try_post([&, held = queue]() mutable {
    go.get_future().wait();
    held.reset();
    done.set_value();
  }));
  queue.reset();
  go.set_value();
  done.get_future().wait();
}

}  // namespace
}  // namespace inferno::serve
