#include "kv/block_pool.h"

#include <gtest/gtest.h>

#include <list>
#include <map>
#include <random>

namespace inferno::kv {
namespace {

token::BlockHash hash_of(uint64_t content) {
  return {.high = content * 31, .low = content * 0x9E3779B97F4A7C15ULL};
}

TEST(BlockPool, HandsOutEveryPageOnceAndThenNone) {
  BlockPool pool(3);
  std::map<uint32_t, int> seen;
  for (int i = 0; i < 3; ++i)
    ++seen[pool.acquire()->value];
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_FALSE(pool.acquire());
  EXPECT_EQ(pool.in_use_count(), 3);
}

TEST(BlockPool, UnnamedPageBecomesFreeAtLastRelease) {
  BlockPool pool(1);
  const PageId page = *pool.acquire();
  pool.release(page);
  EXPECT_EQ(pool.free_count(), 1);
  EXPECT_EQ(pool.idle_count(), 0);
}

TEST(BlockPool, NamedPageStaysFindableUntilEvicted) {
  BlockPool pool(1);
  const PageId page = *pool.acquire();
  pool.publish(page, hash_of(7));
  pool.release(page);
  EXPECT_EQ(pool.idle_count(), 1);
  ASSERT_TRUE(pool.find(hash_of(7)));
  pool.adopt(page);
  EXPECT_EQ(pool.in_use_count(), 1);
  pool.release(page);
  EXPECT_TRUE(pool.acquire());
  EXPECT_FALSE(pool.find(hash_of(7)));
  EXPECT_EQ(pool.eviction_count(), 1);
}

TEST(BlockPool, EvictsLongestIdleFirst) {
  BlockPool pool(3);
  for (uint64_t content = 1; content <= 3; ++content)
    pool.publish(*pool.acquire(), hash_of(content));
  for (uint64_t content : {2, 3, 1})
    pool.release(*pool.find(hash_of(content)));
  pool.acquire();
  EXPECT_FALSE(pool.find(hash_of(2)));
  EXPECT_TRUE(pool.find(hash_of(3)));
  pool.acquire();
  EXPECT_FALSE(pool.find(hash_of(3)));
  EXPECT_TRUE(pool.find(hash_of(1)));
}

TEST(BlockPool, SecondPageOfTheSameContentStaysUnnamed) {
  BlockPool pool(2);
  const PageId first = *pool.acquire();
  const PageId second = *pool.acquire();
  pool.publish(first, hash_of(1));
  pool.publish(second, hash_of(1));
  EXPECT_EQ(pool.find(hash_of(1)), first);
  pool.release(second);
  EXPECT_EQ(pool.free_count(), 1);
}

// What the pool should do, written down without caring for cost.
struct NaivePool {
  struct Page {
    int references = 0;
    std::optional<uint64_t> name;
  };
  std::map<uint32_t, Page> pages;
  std::list<uint32_t> idle;  // oldest first

  int free_count() const {
    int count = 0;
    for (const auto& [id, page] : pages)
      count += page.references == 0 && !page.name;
    return count;
  }
  std::optional<uint32_t> holder(uint64_t name) const {
    for (const auto& [id, page] : pages) {
      if (page.name == name) return id;
    }
    return std::nullopt;
  }
  // The page that acquire() must return when no page is free.
  std::optional<uint32_t> victim() const {
    return idle.empty() ? std::nullopt : std::optional(idle.front());
  }
};

TEST(BlockPool, AgreesWithANaiveModelUnderRandomOperations) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const int capacity = 1 + static_cast<int>(random() % 24);
    BlockPool pool(capacity);
    NaivePool naive;
    for (uint32_t i = 0; i < static_cast<uint32_t>(capacity); ++i)
      naive.pages[i] = {};
    std::vector<uint32_t> held;  // one entry a reference
    for (int step = 0; step < 5000; ++step) {
      const uint64_t content = random() % 40;
      switch (random() % 4) {
        case 0: {
          const bool had_free = naive.free_count() > 0;
          const auto page = pool.acquire();
          ASSERT_EQ(page.has_value(), had_free || naive.victim().has_value());
          if (!page) break;
          NaivePool::Page& entry = naive.pages[page->value];
          ASSERT_EQ(entry.references, 0);
          if (had_free) {
            ASSERT_FALSE(entry.name);
          } else {
            ASSERT_EQ(page->value, *naive.victim());
            naive.idle.pop_front();
          }
          entry = {.references = 1, .name = std::nullopt};
          held.push_back(page->value);
          break;
        }
        case 1: {
          if (held.empty()) break;
          const uint32_t page = held[random() % held.size()];
          if (naive.pages[page].name) break;
          pool.publish({page}, hash_of(content));
          if (!naive.holder(content)) naive.pages[page].name = content;
          break;
        }
        case 2: {
          const auto found = pool.find(hash_of(content));
          const auto expected = naive.holder(content);
          ASSERT_EQ(found.has_value(), expected.has_value());
          if (!found) break;
          ASSERT_EQ(found->value, *expected);
          pool.adopt(*found);
          if (naive.pages[*expected].references++ == 0) naive.idle.remove(*expected);
          held.push_back(*expected);
          break;
        }
        default: {
          if (held.empty()) break;
          std::swap(held[random() % held.size()], held.back());
          const uint32_t page = held.back();
          held.pop_back();
          pool.release({page});
          NaivePool::Page& entry = naive.pages[page];
          if (--entry.references == 0 && entry.name) naive.idle.push_back(page);
        }
      }
      ASSERT_EQ(pool.free_count() + pool.idle_count() + pool.in_use_count(), pool.capacity());
      ASSERT_EQ(pool.free_count(), naive.free_count());
      ASSERT_EQ(pool.idle_count(), static_cast<int>(naive.idle.size()));
    }
  }
}

TEST(BlockPoolDeath, ReleasingAPageNobodyHoldsIsABug) {
  BlockPool pool(1);
  EXPECT_DEATH(pool.release({0}), "references");
  EXPECT_DEATH(pool.adopt({0}), "no name");
}

}  // namespace
}  // namespace inferno::kv
