#include "kv/block_table.h"

#include <gtest/gtest.h>

#include <numeric>

namespace inferno::kv {
namespace {

std::vector<TokenId> tokens_upto(int count) {
  std::vector<TokenId> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), 100);
  return tokens;
}

token::BlockHash root(const char* salt = "") {
  return token::root_hash({.salt = salt, .adapter = {}});
}

// A table whose sequence was computed up to `count` tokens and then released.
void compute_and_release(BlockPool& pool, const std::vector<TokenId>& tokens,
                         token::BlockHash from) {
  BlockTable table(from, 1000);
  ASSERT_TRUE(table.grow(pool, static_cast<int>(tokens.size())));
  table.publish_full(pool, tokens, static_cast<int>(tokens.size()));
  table.release(pool);
}

TEST(BlockTable, AdoptsWhatAnotherSequenceComputed) {
  BlockPool pool(10);
  const auto tokens = tokens_upto(50);
  compute_and_release(pool, tokens, root());
  EXPECT_EQ(pool.idle_count(), 3);
  BlockTable table(root(), 1000);
  EXPECT_EQ(table.adopt_prefix(pool, tokens, 0), 48);
  EXPECT_EQ(table.page_count(), 3);
  EXPECT_EQ(pool.in_use_count(), 3);
}

TEST(BlockTable, LeavesTheLastTokenToBeComputed) {
  BlockPool pool(10);
  const auto tokens = tokens_upto(48);
  compute_and_release(pool, tokens, root());
  BlockTable table(root(), 1000);
  EXPECT_EQ(table.adopt_prefix(pool, tokens, 0), 32);
}

TEST(BlockTable, StopsAtTheFirstDifferentBlock) {
  BlockPool pool(10);
  auto tokens = tokens_upto(64);
  compute_and_release(pool, tokens, root());
  tokens[20] = 7;
  BlockTable table(root(), 1000);
  EXPECT_EQ(table.adopt_prefix(pool, tokens, 0), 16);
}

TEST(BlockTable, OtherSaltsShareNothing) {
  BlockPool pool(10);
  const auto tokens = tokens_upto(64);
  compute_and_release(pool, tokens, root("tenant a"));
  BlockTable table(root("tenant b"), 1000);
  EXPECT_EQ(table.adopt_prefix(pool, tokens, 0), 0);
}

TEST(BlockTable, GrowKeepsWhatItTookWhenThePoolRunsOut) {
  BlockPool pool(2);
  BlockTable table(root(), 1000);
  EXPECT_TRUE(table.grow(pool, 17));
  EXPECT_FALSE(table.grow(pool, 33));
  EXPECT_EQ(table.page_count(), 2);
  table.release(pool);
  EXPECT_EQ(pool.free_count(), 2);
}

TEST(BlockTable, TailIsEvictedBeforeThePrefix) {
  BlockPool pool(4);
  const auto tokens = tokens_upto(64);
  compute_and_release(pool, tokens, root());
  pool.acquire();
  BlockTable table(root(), 1000);
  EXPECT_EQ(table.adopt_prefix(pool, tokens_upto(65), 0), 48);
}

}  // namespace
}  // namespace inferno::kv
