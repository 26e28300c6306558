#include "schedule/page_census.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <set>

namespace inferno::schedule {
namespace {

using kv::kPageTokens;

struct World {
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
  ~World() {
    for (kv::BlockTable& table : tables)
      table.release(pool);
  }
};

TEST(PageCensus, CountsAllPagesOfOneWhoSharesNone) {
  World world;
  const kv::BlockTable& one = world.table_of(5);
  PageCensus census(world.pool);
  EXPECT_EQ(census.add(one), 5);
}

TEST(PageCensus, CountsSharedPagesOnceAndWithTheLastHolder) {
  World world;
  const kv::BlockTable& parent = world.table_of(5);
  const kv::BlockTable& fork = world.fork_of(parent);
  ASSERT_EQ(world.pool.in_use_count(), 6);
  PageCensus census(world.pool);
  EXPECT_EQ(census.add(fork), 1) << "the parent holds the other four";
  EXPECT_TRUE(census.stays_held(PageId{parent.pages()[0]}));
  EXPECT_EQ(census.add(parent), 5);
  EXPECT_FALSE(census.stays_held(PageId{parent.pages()[0]}));
}

TEST(PageCensus, BeginsAnew) {
  World world;
  const kv::BlockTable& one = world.table_of(3);
  PageCensus census(world.pool);
  EXPECT_EQ(census.add(one), 3);
  census.begin();
  EXPECT_TRUE(census.stays_held(PageId{one.pages()[0]}));
  EXPECT_EQ(census.add(one), 3);
}

TEST(PageCensus, SaysWhatReleasingFrees) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(round);
    World world;
    for (int i = 0; i < 8; ++i) {
      if (i > 0 && random() % 2 == 0) {
        world.fork_of(world.tables[random() % world.tables.size()]);
      } else {
        world.table_of(1 + static_cast<int>(random() % 5));
      }
    }
    PageCensus census(world.pool);
    const int before = world.pool.available_count();
    int freed = 0;
    std::set<size_t> gone;
    for (int i = 0; i < 4; ++i)
      gone.insert(random() % world.tables.size());
    for (const size_t index : gone)
      freed += census.add(world.tables[index]);
    for (const size_t index : gone)
      world.tables[index].release(world.pool);
    EXPECT_EQ(world.pool.available_count() - before, freed);
  }
}

}  // namespace
}  // namespace inferno::schedule
