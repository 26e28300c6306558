#include "base/memory_tracker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <thread>

#include "base/metrics.h"

namespace inferno {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

auto holds(const char* owner, size_t now_bytes, size_t peak_bytes) {
  return AllOf(Field(&MemoryUse::owner, owner), Field(&MemoryUse::now_bytes, now_bytes),
               Field(&MemoryUse::peak_bytes, peak_bytes));
}

// What a function writes to a stream, as text.
template <typename Write>
std::string written_by(Write write) {
  char* text = nullptr;
  size_t length = 0;
  std::FILE* stream = open_memstream(&text, &length);
  write(stream);
  std::fclose(stream);
  std::string result(text, length);
  free(text);  // NOLINT: open_memstream allocated it
  return result;
}

TEST(MemoryTracker, CountsByOwnerAndKeepsTheHighest) {
  MemoryTracker tracker;
  tracker.account("weights").add(100);
  tracker.account("KV cache").add(50);
  tracker.account("KV cache").add(25);
  tracker.account("KV cache").subtract(50);
  tracker.account("KV cache").add(10);
  EXPECT_THAT(tracker.by_owner(),
              ElementsAre(holds("weights", 100, 100), holds("KV cache", 35, 75)));
  EXPECT_THAT(tracker.total(), holds("total", 135, 175));
  EXPECT_EQ(tracker.by_owner()[1].block_count, 2u);
  EXPECT_EQ(tracker.by_owner()[1].allocation_count, 3u);
}

TEST(MemoryTracker, TotalPeakIsTheHighestSumNotTheSumOfPeaks) {
  MemoryTracker tracker;
  tracker.account("a").add(100);
  tracker.account("a").subtract(100);
  tracker.account("b").add(60);
  EXPECT_THAT(tracker.total(), holds("total", 60, 100));
}

TEST(MemoryTracker, AnAccountKeepsItsAddressWhileOthersCome) {
  MemoryTracker tracker;
  MemoryAccount& first = tracker.account("first");
  for (int i = 0; i < 100; ++i)
    tracker.account("owner " + std::to_string(i)).add(1);
  EXPECT_EQ(&tracker.account("first"), &first);
  EXPECT_EQ(tracker.total().now_bytes, 100u);
}

TEST(MemoryTracker, ReportsWhatWasNotGivenBack) {
  MemoryTracker tracker;
  tracker.account("weights").add(100);
  tracker.account("weights").subtract(100);
  EXPECT_THAT(tracker.still_held(), IsEmpty());
  EXPECT_EQ(written_by([&](std::FILE* out) { EXPECT_EQ(report_leaks(tracker, out), 0u); }), "");

  tracker.account("KV cache").add(4096);
  EXPECT_THAT(tracker.still_held(), ElementsAre(holds("KV cache", 4096, 4096)));
  EXPECT_EQ(written_by([&](std::FILE* out) { EXPECT_EQ(report_leaks(tracker, out), 1u); }),
            "memory not given back: KV cache: 4096 bytes in 1 block\n");
}

TEST(MemoryTracker, PublishesTwoGaugesPerOwnerAndUpdatesThem) {
  MemoryTracker tracker;
  MetricRegistry registry;
  tracker.account("weights").add(1000);
  publish_memory(tracker, registry);
  EXPECT_THAT(registry.exposition(), HasSubstr("inferno:memory_bytes{owner=\"weights\"} 1000.0\n"));
  tracker.account("weights").subtract(1000);
  tracker.account("activations").add(7);
  publish_memory(tracker, registry);
  const std::string text = registry.exposition();
  EXPECT_THAT(text, HasSubstr("inferno:memory_bytes{owner=\"weights\"} 0.0\n"));
  EXPECT_THAT(text, HasSubstr("inferno:memory_peak_bytes{owner=\"weights\"} 1000.0\n"));
  EXPECT_THAT(text, HasSubstr("inferno:memory_bytes{owner=\"activations\"} 7.0\n"));
}

TEST(MemoryTracker, AgreesWithANaiveModelOverRandomOperations) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  MemoryTracker tracker;
  const std::vector<std::string> owners = {"a", "b", "c"};
  std::map<std::string, std::vector<size_t>> held;
  std::map<std::string, size_t> now, peak;
  for (int step = 0; step < 20'000; ++step) {
    const std::string& owner = owners[random() % owners.size()];
    std::vector<size_t>& blocks = held[owner];
    if (blocks.empty() || random() % 2 == 0) {
      blocks.push_back(random() % 1'000'000);
      now[owner] += blocks.back();
      tracker.account(owner).add(blocks.back());
    } else {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      now[owner] -= blocks.back();
      tracker.account(owner).subtract(blocks.back());
      blocks.pop_back();
    }
    peak[owner] = std::max(peak[owner], now[owner]);
    const MemoryUse use = tracker.account(owner).use();
    ASSERT_EQ(use.now_bytes, now[owner]);
    ASSERT_EQ(use.peak_bytes, peak[owner]);
    ASSERT_EQ(use.block_count, blocks.size());
    ASSERT_EQ(tracker.total().now_bytes, now["a"] + now["b"] + now["c"]);
  }
}

TEST(MemoryTracker, LosesNothingWhenThreadsAllocateAtOnce) {
  MemoryTracker tracker;
  constexpr int kThreads = 4;
  constexpr int kRounds = 5000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&tracker, t] {
      const std::string owner = "owner " + std::to_string(t % 2);
      for (int i = 0; i < kRounds; ++i) {
        tracker.account(owner).add(10);
        if (i % 2 == 0) tracker.account(owner).subtract(10);
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(tracker.total().now_bytes, size_t{10} * kThreads * kRounds / 2);
  EXPECT_EQ(tracker.total().allocation_count, uint64_t{kThreads} * kRounds);
  EXPECT_GE(tracker.total().peak_bytes, tracker.total().now_bytes);
  size_t sum = 0;
  for (const MemoryUse& use : tracker.by_owner())
    sum += use.now_bytes;
  EXPECT_EQ(sum, tracker.total().now_bytes);
}

TEST(MemoryTrackerDeathTest, StopsWhenMoreIsGivenBackThanWasTaken) {
  MemoryTracker tracker;
  tracker.account("weights").add(10);
  EXPECT_DEATH(tracker.account("weights").subtract(11), "11 bytes given back");
}

}  // namespace
}  // namespace inferno
