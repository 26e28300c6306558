#include "kv/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

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

// A chain of `count` blocks, named and in use.
std::vector<PageId> chain(BlockPool& pool, uint64_t first_content, int count) {
  std::vector<PageId> pages;
  for (int block = 0; block < count; ++block) {
    BlockOrigin origin;
    if (block > 0) origin.after.page = pages.back();
    pages.push_back(*pool.acquire());
    pool.publish(pages.back(), hash_of(first_content + static_cast<uint64_t>(block)), origin);
  }
  return pages;
}

void release_all(BlockPool& pool, const std::vector<PageId>& pages) {
  for (size_t i = pages.size(); i > 0; --i)
    pool.release(pages[i - 1]);
}

TEST(BlockPool, PublishSaysWhichPageHasTheName) {
  BlockPool pool(2);
  const PageId first = *pool.acquire();
  const PageId second = *pool.acquire();
  EXPECT_EQ(pool.publish(first, hash_of(1)), first);
  EXPECT_EQ(pool.publish(first, hash_of(1)), first);
  EXPECT_EQ(pool.publish(second, hash_of(1)), first);
  pool.merge(second, first);
  EXPECT_EQ(pool.reference_count(first), 2);
  EXPECT_EQ(pool.free_count(), 1);
  EXPECT_EQ(pool.stats().duplicate_blocks, 1);
}

TEST(BlockPool, SharedPageStaysUntilItsLastUserGoes) {
  BlockPool pool(1);
  const PageId page = *pool.acquire();
  pool.share(page);
  pool.release(page);
  EXPECT_EQ(pool.in_use_count(), 1);
  pool.release(page);
  EXPECT_EQ(pool.free_count(), 1);
}

TEST(BlockPool, EvictsTheTailOfAChainFirstUnderEveryPolicy) {
  for (EvictionPolicyKind kind :
       {EvictionPolicyKind::kLru, EvictionPolicyKind::kLfu, EvictionPolicyKind::kCost}) {
    SCOPED_TRACE(name_of(kind));
    BlockPool pool(4, kind);
    release_all(pool, chain(pool, 1, 4));
    for (uint64_t content = 4; content >= 1; --content) {
      ASSERT_TRUE(pool.find(hash_of(content)));
      pool.acquire();
      EXPECT_FALSE(pool.find(hash_of(content)));
    }
  }
}

TEST(BlockPool, LfuKeepsWhatWasFoundOftenOverWhatIsYounger) {
  BlockPool pool(2, EvictionPolicyKind::kLfu);
  const PageId favourite = chain(pool, 1, 1)[0];
  const PageId young = chain(pool, 2, 1)[0];
  pool.adopt(favourite);
  pool.release(favourite);
  pool.release(favourite);
  pool.release(young);
  pool.acquire();
  EXPECT_TRUE(pool.find(hash_of(1)));
  EXPECT_FALSE(pool.find(hash_of(2)));
}

TEST(BlockPool, LfuLetsAnOldFavouriteGoInTheEnd) {
  BlockPool pool(2, EvictionPolicyKind::kLfu);
  const PageId favourite = chain(pool, 1, 1)[0];
  for (int i = 0; i < 10; ++i)
    pool.adopt(favourite);
  for (int i = 0; i < 11; ++i)
    pool.release(favourite);
  int passing = 0;
  for (uint64_t content = 100; pool.find(hash_of(1)) && passing < 1000; ++content, ++passing)
    pool.release(chain(pool, content, 1)[0]);
  EXPECT_GT(passing, 5);
  EXPECT_LT(passing, 20);
}

TEST(BlockPool, CostKeepsTheBlockThatIsDearerToComputeAgain) {
  BlockPool pool(7, EvictionPolicyKind::kCost);
  const std::vector<PageId> deep = chain(pool, 1, 6);
  const std::vector<PageId> shallow = chain(pool, 100, 1);
  release_all(pool, deep);
  release_all(pool, shallow);
  pool.acquire();
  EXPECT_FALSE(pool.find(hash_of(100)));
  EXPECT_TRUE(pool.find(hash_of(6)));
}

TEST(BlockPool, CountsEvictedBlocksThatAreComputedAgain) {
  BlockPool pool(2);
  for (uint64_t content : {1, 2, 3})
    pool.release(chain(pool, content, 1)[0]);
  EXPECT_EQ(pool.stats().evicted_blocks, 1);
  EXPECT_EQ(pool.stats().evicted_wanted_again_blocks, 0);
  pool.release(chain(pool, 1, 1)[0]);
  EXPECT_EQ(pool.stats().evicted_blocks, 2);
  EXPECT_EQ(pool.stats().evicted_wanted_again_blocks, 1);
}

TEST(BlockPool, SumsTheAdmissionsItIsTold) {
  BlockPool pool(1);
  pool.record_admission({.query_blocks = 5,
                         .hit_blocks = 3,
                         .query_tokens = 90,
                         .hit_tokens_by_cause = {32, 16, 0, 0}});
  pool.record_admission({.query_blocks = 1,
                         .hit_blocks = 0,
                         .query_tokens = 20,
                         .hit_tokens_by_cause = {0, 0, 7, 0}});
  EXPECT_EQ(pool.stats().hit_blocks, 3);
  EXPECT_EQ(pool.stats().miss_blocks, 3);
  EXPECT_EQ(pool.stats().hit_tokens, 55);
  EXPECT_EQ(pool.stats().miss_tokens, 55);
  EXPECT_EQ(pool.stats().hit_tokens_by_cause, (std::array<int64_t, 4>{32, 16, 7, 0}));
}

TEST(BlockPoolDeath, ReleasingAPageNobodyHoldsIsABug) {
  BlockPool pool(1);
  EXPECT_DEATH(pool.release({0}), "references");
  EXPECT_DEATH(pool.adopt({0}), "no name");
  EXPECT_DEATH(pool.share({0}), "not in use");
}

TEST(BlockPoolDeath, GivingBackAParentBeforeItsChildIsABug) {
  BlockPool pool(2);
  const std::vector<PageId> pages = chain(pool, 1, 2);
  EXPECT_DEATH(pool.release(pages[0]), "below it");
  release_all(pool, pages);
  EXPECT_DEATH(pool.adopt(pages[1]), "before its parent");
}

using Tokens = std::vector<TokenId>;

// A named block in use, with tails of these tokens behind it.
PageId block_with_tails(BlockPool& pool, const std::vector<Tokens>& tails) {
  const PageId block = chain(pool, 1, 1).front();
  for (const Tokens& tokens : tails)
    pool.keep_tail(*pool.acquire(), {.after = {.page = block}, .tokens = tokens});
  return block;
}

TEST(BlockPoolTail, StaysIdleToBeCopiedFromButNotToBeFound) {
  BlockPool pool(4);
  const PageId block = block_with_tails(pool, {{1, 2, 3}});
  EXPECT_EQ(pool.idle_count(), 1);
  const auto found = pool.find_continuation({.page = block}, Tokens{1, 2, 7, 8});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->tokens, 2);
  pool.adopt(found->page);
  EXPECT_EQ(pool.idle_count(), 0);
  pool.release(found->page);
  pool.release(block);
  EXPECT_EQ(pool.idle_count(), 2);
  EXPECT_EQ(pool.find(hash_of(1)), block);
}

TEST(BlockPoolTail, IsEvictedBeforeTheBlockItContinues) {
  for (const auto kind :
       {EvictionPolicyKind::kLru, EvictionPolicyKind::kLfu, EvictionPolicyKind::kCost}) {
    BlockPool pool(2, kind);
    const PageId block = block_with_tails(pool, {{1, 2, 3}});
    pool.release(block);
    EXPECT_TRUE(pool.acquire());
    EXPECT_EQ(pool.eviction_count(), 1);
    EXPECT_EQ(pool.find(hash_of(1)), block);
    EXPECT_FALSE(pool.find_continuation({.page = block}, Tokens{1}));
    EXPECT_TRUE(pool.acquire());
    EXPECT_FALSE(pool.find(hash_of(1)));
  }
}

TEST(BlockPoolTail, IsNotKeptTwice) {
  BlockPool pool(8);
  block_with_tails(pool, {{1, 2, 3}, {1, 2, 3}, {1, 2}, {1}});
  EXPECT_EQ(pool.idle_count(), 1);
  EXPECT_EQ(pool.free_count(), 6);
}

TEST(BlockPoolTail, GoesWhenALongerOneOrABlockHasItsTokens) {
  BlockPool pool(8);
  const PageId block = block_with_tails(pool, {{1}, {1, 2, 9}, {1, 2, 3}});
  EXPECT_EQ(pool.idle_count(), 2) << "{1} is in both others";
  Tokens tokens(kPageTokens, 5);
  std::ranges::copy(Tokens{1, 2, 3}, tokens.begin());
  const PageId next = *pool.acquire();
  pool.publish(next, hash_of(2), {.after = {.page = block}, .tokens = tokens});
  EXPECT_EQ(pool.idle_count(), 1);
  EXPECT_EQ(pool.find_continuation({.page = block}, tokens)->page, next);
  EXPECT_EQ(pool.find_continuation({.page = block}, Tokens{1, 2, 9})->tokens, 3);
  pool.keep_tail(*pool.acquire(), {.after = {.page = block}, .tokens = Tokens{1, 2, 3}});
  EXPECT_EQ(pool.idle_count(), 1);
  EXPECT_EQ(pool.free_count(), 5);
}

TEST(BlockPoolTail, ThatIsUsedAgainIsEvictedLater) {
  BlockPool pool(4);
  const PageId block = block_with_tails(pool, {{1}, {2}, {3}});
  pool.keep_tail(*pool.acquire(), {.after = {.page = block}, .tokens = Tokens{2}});
  EXPECT_FALSE(pool.find_continuation({.page = block}, Tokens{1})) << "made place for another {2}";
  pool.acquire();
  EXPECT_TRUE(pool.acquire());
  EXPECT_FALSE(pool.find_continuation({.page = block}, Tokens{3}));
  EXPECT_TRUE(pool.find_continuation({.page = block}, Tokens{2}));
}

TEST(BlockPoolDeath, ATailIsNoBlockAndHasOneUser) {
  BlockPool pool(3);
  const PageId page = *pool.acquire();
  EXPECT_DEATH(pool.keep_tail(page, {.after = {}, .tokens = Tokens(kPageTokens)}),
               "a tail of 16 tokens");
  EXPECT_DEATH(pool.keep_tail(page, {}), "a tail of 0 tokens");
  pool.share(page);
  EXPECT_DEATH(pool.keep_tail(page, {.after = {}, .tokens = Tokens{1}}), "with 2 references");
}

}  // namespace
}  // namespace inferno::kv
