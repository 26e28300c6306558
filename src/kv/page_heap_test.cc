#include "kv/page_heap.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "kv/property_ops.h"

namespace inferno::kv {
namespace {

TEST(PageHeap, HandsOutTheSmallestRankAndOfEqualOnesTheFirstToArrive) {
  PageHeap heap(4);
  heap.add({3}, {.value = 7, .arrival = 0});
  heap.add({1}, {.value = 5, .arrival = 2});
  heap.add({2}, {.value = 5, .arrival = 1});
  EXPECT_EQ(heap.first(), PageId{2});
  heap.remove({2});
  EXPECT_EQ(heap.first(), PageId{1});
  EXPECT_EQ(heap.first_rank().value, 5u);
  heap.remove({1});
  EXPECT_EQ(heap.first(), PageId{3});
}

TEST(PageHeap, AgreesWithASortedMapUnderRandomOperations) {
  constexpr uint64_t kSeed = 5;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937_64 random(kSeed);
  constexpr uint32_t kCapacity = 50;
  PageHeap heap(kCapacity);
  std::map<PageHeap::Rank, uint32_t> naive;
  std::map<uint32_t, PageHeap::Rank> ranks;
  const int64_t operations = property_ops(100000);
  for (int64_t done = 0; done < operations; ++done) {
    const auto page = static_cast<uint32_t>(random() % kCapacity);
    if (const auto known = ranks.find(page); known != ranks.end()) {
      ASSERT_TRUE(heap.contains({page}));
      heap.remove({page});
      naive.erase(known->second);
      ranks.erase(known);
    } else {
      ASSERT_FALSE(heap.contains({page}));
      const PageHeap::Rank rank{.value = random() % 20, .arrival = static_cast<uint64_t>(done)};
      heap.add({page}, rank);
      naive[rank] = page;
      ranks[page] = rank;
    }
    ASSERT_EQ(heap.size(), static_cast<int>(naive.size()));
    ASSERT_EQ(heap.empty(), naive.empty());
    if (!naive.empty()) {
      ASSERT_EQ(heap.first().value, naive.begin()->second);
      ASSERT_EQ(heap.first_rank(), naive.begin()->first);
    }
  }
}

TEST(PageHeapDeath, RemovingAPageThatIsNotThereIsABug) {
  PageHeap heap(2);
  EXPECT_DEATH(heap.remove({1}), "not among");
  EXPECT_DEATH(heap.first(), "empty");
  heap.add({1}, {});
  EXPECT_DEATH(heap.add({1}, {}), "already");
}

}  // namespace
}  // namespace inferno::kv
