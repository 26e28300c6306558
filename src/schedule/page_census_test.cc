#include "schedule/page_census.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <set>

namespace inferno::schedule {
namespace {

using kv::kPageTokens;

struct HeldPages {
  kv::BlockPool pool{64};
  std::deque<kv::BlockTable> tables;

  kv::BlockTable& table_of(int pages) {
    kv::BlockTable& table = tables.emplace_back(token::root_hash({}), 64 * kPageTokens);
    EXPECT_TRUE(table.grow(pool, pages * kPageTokens));
    return table;
  }
  // Shares all whole pages of the parent but the last, of which it has its own.
  kv::BlockTable& fork_of(const kv::BlockTable& parent) {
    kv::BlockTable& table = tables.emplace_back(token::root_hash({}), 64 * kPageTokens);
    EXPECT_TRUE(table.fork_prefix(pool, parent, parent.page_count() * kPageTokens - 1));
    return table;
  }
  ~HeldPages() {
    for (kv::BlockTable& table : tables)
      table.release(pool);
  }
};

TEST(PageCensus, CountsAllPagesOfOneWhoSharesNone) {
  HeldPages held;
  const kv::BlockTable& one = held.table_of(5);
  PageCensus census(held.pool);
  EXPECT_EQ(census.add(one), 5);
}

TEST(PageCensus, CountsSharedPagesOnceAndWithTheLastHolder) {
  HeldPages held;
  const kv::BlockTable& parent = held.table_of(5);
  const kv::BlockTable& fork = held.fork_of(parent);
  ASSERT_EQ(held.pool.in_use_count(), 6);
  PageCensus census(held.pool);
  EXPECT_EQ(census.add(fork), 1) << "the parent holds the other four";
  EXPECT_TRUE(census.stays_held(PageId{parent.pages()[0]}));
  EXPECT_EQ(census.add(parent), 5);
  EXPECT_FALSE(census.stays_held(PageId{parent.pages()[0]}));
}

TEST(PageCensus, BeginsAnew) {
  HeldPages held;
  const kv::BlockTable& one = held.table_of(3);
  PageCensus census(held.pool);
  EXPECT_EQ(census.add(one), 3);
  census.begin();
  EXPECT_TRUE(census.stays_held(PageId{one.pages()[0]}));
  EXPECT_EQ(census.add(one), 3);
}

TEST(PageCensus, SaysWhatReleasingFrees) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(round);
    HeldPages held;
    for (int i = 0; i < 8; ++i) {
      if (i > 0 && random() % 2 == 0) {
        held.fork_of(held.tables[random() % held.tables.size()]);
      } else {
        held.table_of(1 + static_cast<int>(random() % 5));
      }
    }
    PageCensus census(held.pool);
    const int before = held.pool.available_count();
    int freed = 0;
    std::set<size_t> gone;
    for (int i = 0; i < 4; ++i)
      gone.insert(random() % held.tables.size());
    for (const size_t index : gone)
      freed += census.add(held.tables[index]);
    for (const size_t index : gone)
      held.tables[index].release(held.pool);
    EXPECT_EQ(held.pool.available_count() - before, freed);
  }
}

}  // namespace
}  // namespace inferno::schedule
