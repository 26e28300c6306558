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

TEST(BlockTable, SameTokensOfTwoSaltsHoldTwoPagesThatNeitherFindsForTheOther) {
  BlockPool pool(4);
  const auto tokens = tokens_upto(32);
  BlockTable a(root("tenant a"), 1000);
  BlockTable b(root("tenant b"), 1000);
  for (BlockTable* table : {&a, &b}) {
    ASSERT_TRUE(table->grow(pool, 32));
    table->publish_full(pool, tokens, 32);
  }
  EXPECT_NE(a.root(), b.root());
  EXPECT_EQ(pool.stats().in_use_named_pages, 4);
  EXPECT_EQ(pool.stats().duplicate_blocks, 0);
  for (int block = 0; block < 2; ++block) {
    EXPECT_NE(a.block_hash(block), b.block_hash(block));
    EXPECT_EQ(pool.find(*a.block_hash(block))->value, a.pages()[static_cast<size_t>(block)]);
    EXPECT_EQ(pool.find(*b.block_hash(block))->value, b.pages()[static_cast<size_t>(block)]);
  }
  BlockTable c(root("tenant c"), 1000);
  c.hash_prompt(tokens);
  EXPECT_EQ(c.cached_prefix_tokens(pool), 0);
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

TEST(BlockTable, TellsWhatItWouldAdoptWithoutTakingIt) {
  BlockPool pool(10);
  const auto tokens = tokens_upto(50);
  compute_and_release(pool, tokens, root());
  BlockTable table(root(), 1000);
  table.hash_prompt(tokens);
  EXPECT_EQ(table.cached_prefix_tokens(pool), 48);
  EXPECT_EQ(pool.idle_count(), 3);
  EXPECT_EQ(table.adopt_prefix(pool, tokens, 0), 48);
  EXPECT_EQ(table.cached_prefix_tokens(pool), 0);
}

TEST(BlockTable, CountsOnTheLastTokenBeingComputedWhenItLooks) {
  BlockPool pool(10);
  const auto tokens = tokens_upto(48);
  compute_and_release(pool, tokens, root());
  BlockTable table(root(), 1000);
  table.hash_prompt(tokens);
  EXPECT_EQ(table.cached_prefix_tokens(pool), 32);
}

TEST(BlockTable, NextBlockHashIsThatOfTheBlockBeingComputed) {
  BlockPool pool(10);
  const auto tokens = tokens_upto(50);
  BlockTable runs(root(), 1000);
  BlockTable waits(root(), 1000);
  waits.hash_prompt(tokens);
  EXPECT_FALSE(runs.next_block_hash());
  runs.hash_prompt(tokens);
  EXPECT_EQ(runs.next_block_hash(), waits.next_block_hash());
  ASSERT_TRUE(runs.grow(pool, 50));
  runs.publish_full(pool, tokens, 16);
  ASSERT_TRUE(runs.next_block_hash());
  EXPECT_EQ(runs.next_block_hash(), waits.block_hash(1));
  EXPECT_EQ(waits.adopt_prefix(pool, tokens, 0), 16);
  EXPECT_EQ(runs.next_block_hash(), waits.next_block_hash());
  runs.publish_full(pool, tokens, 50);
  EXPECT_FALSE(runs.next_block_hash()) << "the last block is not whole";
  EXPECT_FALSE(runs.block_hash(-1));
}

TEST(BlockTable, HashesAreTheChainOverRootAndBlocks) {
  const auto tokens = tokens_upto(40);
  BlockTable table(root("salt"), 1000);
  table.hash_prompt(std::span(tokens).first(20));
  EXPECT_FALSE(table.block_hash(1));
  table.hash_prompt(tokens);
  const token::BlockHash first = token::child_hash(root("salt"), std::span(tokens).first(16));
  EXPECT_EQ(table.block_hash(0), first);
  EXPECT_EQ(table.block_hash(1), token::child_hash(first, std::span(tokens).subspan(16, 16)));
  EXPECT_FALSE(table.block_hash(2));
}

TEST(BlockTable, AfterReleaseItFindsItsOwnBlocksAgain) {
  BlockPool pool(10);
  const auto tokens = tokens_upto(50);
  BlockTable table(root(), 1000);
  ASSERT_TRUE(table.grow(pool, 50));
  table.publish_full(pool, tokens, 40);
  table.release(pool);
  EXPECT_EQ(table.page_count(), 0);
  EXPECT_EQ(table.cached_prefix_tokens(pool), 32);
  EXPECT_EQ(table.adopt_prefix(pool, tokens, 0), 32);
}

TEST(BlockTable, TakesThePublishedPageInsteadOfItsOwnDuplicate) {
  BlockPool pool(10);
  const auto tokens = tokens_upto(40);
  BlockTable first(root(), 1000);
  BlockTable second(root(), 1000);
  ASSERT_TRUE(first.grow(pool, 40));
  ASSERT_TRUE(second.grow(pool, 40));
  EXPECT_EQ(pool.in_use_count(), 6);
  first.publish_full(pool, tokens, 40);
  second.publish_full(pool, tokens, 40);
  EXPECT_EQ(pool.in_use_count(), 4);
  EXPECT_EQ(first.pages()[0], second.pages()[0]);
  EXPECT_EQ(first.pages()[1], second.pages()[1]);
  EXPECT_NE(first.pages()[2], second.pages()[2]);
  EXPECT_EQ(pool.stats().duplicate_blocks, 2);
  first.release(pool);
  second.release(pool);
  EXPECT_EQ(pool.idle_count(), 2);
  EXPECT_EQ(pool.free_count(), 8);
}

TEST(BlockTableFork, SharesFullPagesAndCopiesTheTail) {
  BlockPool pool(10);
  const auto tokens = tokens_upto(40);
  BlockTable parent(root(), 1000);
  ASSERT_TRUE(parent.grow(pool, 40));
  parent.publish_full(pool, tokens, 40);
  BlockTable child(root(), 1000);
  const auto forked = child.fork_prefix(pool, parent, 40);
  ASSERT_TRUE(forked);
  ASSERT_TRUE(forked->copy);
  EXPECT_EQ(forked->copy->from.value, parent.pages()[2]);
  EXPECT_EQ(forked->copy->to.value, child.pages()[2]);
  EXPECT_NE(forked->copy->from, forked->copy->to);
  EXPECT_EQ(child.page_count(), 3);
  for (size_t page = 0; page < 2; ++page) {
    EXPECT_EQ(child.pages()[page], parent.pages()[page]);
    EXPECT_EQ(pool.reference_count({child.pages()[page]}), 2);
  }
  EXPECT_EQ(pool.reference_count(forked->copy->from), 1);
  EXPECT_EQ(pool.in_use_count(), 4);
}

TEST(BlockTableFork, AtTheEndOfAPageNeedsNoCopy) {
  BlockPool pool(2);
  const auto tokens = tokens_upto(32);
  BlockTable parent(root(), 1000);
  ASSERT_TRUE(parent.grow(pool, 32));
  BlockTable child(root(), 1000);
  const auto forked = child.fork_prefix(pool, parent, 32);
  ASSERT_TRUE(forked);
  EXPECT_FALSE(forked->copy);
  EXPECT_EQ(pool.reference_count({parent.pages()[1]}), 2) << "unnamed pages are shared as well";
  parent.release(pool);
  EXPECT_EQ(pool.in_use_count(), 2);
  child.publish_full(pool, tokens, 32);
  child.release(pool);
  EXPECT_EQ(pool.idle_count(), 2);
}

TEST(BlockTableFork, TakesNothingWhenThereIsNoPageForTheTail) {
  BlockPool pool(3);
  BlockTable parent(root(), 1000);
  ASSERT_TRUE(parent.grow(pool, 40));
  BlockTable child(root(), 1000);
  EXPECT_FALSE(child.fork_prefix(pool, parent, 40));
  EXPECT_EQ(child.page_count(), 0);
  EXPECT_EQ(pool.reference_count({parent.pages()[0]}), 1);
  EXPECT_TRUE(child.fork_prefix(pool, parent, 32));
}

TEST(BlockTableFork, PublishesItsOwnBlocksOnlyUnderTheParentsNames) {
  BlockPool pool(10);
  auto tokens = tokens_upto(40);
  BlockTable parent(root(), 1000);
  ASSERT_TRUE(parent.grow(pool, 40));
  parent.publish_full(pool, tokens, 40);
  BlockTable child(root(), 1000);
  ASSERT_TRUE(child.fork_prefix(pool, parent, 40));
  EXPECT_EQ(child.block_hash(1), parent.block_hash(1));
  EXPECT_FALSE(child.next_block_hash());
  tokens.resize(48, 5);
  child.publish_full(pool, tokens, 48);
  EXPECT_EQ(pool.stats().in_use_named_pages, 3);
  EXPECT_EQ(pool.stats().duplicate_blocks, 0);
  BlockTable third(root(), 1000);
  third.hash_prompt(tokens);
  child.release(pool);
  parent.release(pool);
  EXPECT_EQ(third.cached_prefix_tokens(pool), 32);
  EXPECT_EQ(third.block_hash(2), child.block_hash(2));
  EXPECT_TRUE(pool.find(*third.block_hash(2)));
}

TEST(BlockTableForkDeath, OfOtherTokensOrMoreThanTheParentHasIsABug) {
  BlockPool pool(10);
  const auto tokens = tokens_upto(40);
  BlockTable parent(root(), 1000);
  ASSERT_TRUE(parent.grow(pool, 40));
  parent.publish_full(pool, tokens, 40);
  BlockTable child(root(), 1000);
  EXPECT_DEATH(child.fork_prefix(pool, parent, 49), "fork at 49");
  const std::vector<TokenId> others(40, 3);
  child.hash_prompt(others);
  EXPECT_DEATH(child.fork_prefix(pool, parent, 40), "other tokens");
}

TEST(BlockTableStats, TellHitsByTheirCause) {
  BlockPool pool(40);
  const auto tokens = tokens_upto(100);
  // A prompt of 48 tokens, of which 64 are computed in the end: three prompt blocks, one generated.
  BlockTable first(root(), 1000);
  first.hash_prompt(std::span(tokens).first(48));
  first.record_admission(pool, Admission::kFirst);
  ASSERT_TRUE(first.grow(pool, 64));
  first.publish_full(pool, std::span(tokens).first(65), 64);
  EXPECT_EQ(pool.stats().miss_tokens, 48);
  EXPECT_EQ(pool.stats().miss_blocks, 2) << "the block with the last token cannot be found";

  BlockTable second(root(), 1000);
  EXPECT_EQ(second.adopt_prefix(pool, tokens, 0), 64);
  second.record_admission(pool, Admission::kFirst);
  EXPECT_EQ(pool.stats().hit_tokens_by_cause, (std::array<int64_t, 4>{48, 16, 0, 0}));

  BlockTable fork(root(), 1000);
  ASSERT_TRUE(second.grow(pool, 100));
  ASSERT_TRUE(fork.fork_prefix(pool, second, 90));
  fork.record_admission(pool, Admission::kForked);
  EXPECT_EQ(pool.stats().hit_tokens_by_cause, (std::array<int64_t, 4>{48, 16, 90, 0}));

  second.release(pool);
  EXPECT_EQ(second.adopt_prefix(pool, tokens, 0), 64);
  second.record_admission(pool, Admission::kResumed);
  EXPECT_EQ(pool.stats().hit_tokens_by_cause, (std::array<int64_t, 4>{48, 16, 90, 64}));
  EXPECT_EQ(pool.stats().hit_tokens, 48 + 16 + 90 + 64);
  EXPECT_EQ(pool.stats().miss_tokens, 48 + 36 + 0 + 36);
  EXPECT_EQ(pool.stats().hit_blocks, 4 + 5 + 4);
  EXPECT_EQ(pool.stats().miss_blocks, 2 + 2 + 0 + 2);
}

// A table whose sequence was computed up to `count` of `tokens` and then ended.
void compute_and_retire(BlockPool& pool, std::span<const TokenId> tokens, token::BlockHash from) {
  const int count = static_cast<int>(tokens.size());
  BlockTable table(from, 1000);
  ASSERT_TRUE(table.grow(pool, count + 40)) << "with pages for drafts";
  table.publish_full(pool, tokens, count);
  table.retire(pool, tokens, count);
}

TEST(BlockTableTail, IsCopiedAsFarAsItAgrees) {
  BlockPool pool(20);
  auto tokens = tokens_upto(60);
  compute_and_retire(pool, std::span(tokens).first(44), root());
  EXPECT_EQ(pool.idle_count(), 3);
  EXPECT_EQ(pool.free_count(), 17);
  tokens[38] = 7;
  BlockTable table(root(), 1000);
  table.hash_prompt(tokens);
  EXPECT_EQ(table.cached_tail_tokens(pool, tokens), 6);
  EXPECT_EQ(table.adopt_prefix(pool, tokens, 0), 32);
  EXPECT_EQ(table.cached_tail_tokens(pool, tokens), 6);
  const auto copied = table.copy_tail(pool, tokens);
  ASSERT_TRUE(copied);
  EXPECT_EQ(copied->tokens, 6);
  EXPECT_EQ(copied->copy.to.value, table.pages()[2]);
  EXPECT_EQ(pool.reference_count(copied->copy.to), 1);
  EXPECT_FALSE(pool.is_named(copied->copy.to));
  EXPECT_EQ(pool.reference_count(copied->copy.from), 0);
  EXPECT_EQ(table.page_count(), 3);
  EXPECT_EQ(pool.idle_count(), 1);
}

TEST(BlockTableTail, LeavesTheLastTokenToBeComputed) {
  BlockPool pool(20);
  const auto tokens = tokens_upto(64);
  compute_and_retire(pool, tokens, root());
  for (const int count : {1, 2, 16, 17, 18, 48, 64}) {
    const auto prompt = std::span(tokens).first(static_cast<size_t>(count));
    BlockTable table(root(), 1000);
    const int adopted = table.adopt_prefix(pool, prompt, 0);
    const auto copied = table.copy_tail(pool, prompt);
    EXPECT_EQ(adopted + (copied ? copied->tokens : 0), count - 1);
    table.release(pool);
  }
}

TEST(BlockTableTail, MayComeFromABlockInUse) {
  BlockPool pool(20);
  auto tokens = tokens_upto(40);
  BlockTable first(root(), 1000);
  ASSERT_TRUE(first.grow(pool, 40));
  first.publish_full(pool, tokens, 32);
  tokens[31] = 7;
  BlockTable second(root(), 1000);
  EXPECT_EQ(second.adopt_prefix(pool, tokens, 0), 16);
  const auto copied = second.copy_tail(pool, tokens);
  ASSERT_TRUE(copied);
  EXPECT_EQ(copied->tokens, 15);
  EXPECT_EQ(copied->copy.from.value, first.pages()[1]);
  EXPECT_EQ(pool.reference_count(copied->copy.from), 1);
}

TEST(BlockTableTail, BelongsToItsSalt) {
  BlockPool pool(20);
  for (const int count : {9, 44}) {
    const auto tokens = tokens_upto(count);
    compute_and_retire(pool, tokens, root("tenant a"));
    BlockTable other(root("tenant b"), 1000);
    other.hash_prompt(tokens);
    EXPECT_EQ(other.cached_tail_tokens(pool, tokens), 0);
    EXPECT_EQ(other.adopt_prefix(pool, tokens, 0), 0);
    EXPECT_FALSE(other.copy_tail(pool, tokens));
    BlockTable same(root("tenant a"), 1000);
    const int adopted = same.adopt_prefix(pool, tokens, 0);
    EXPECT_EQ(adopted + same.copy_tail(pool, tokens)->tokens, count - 1);
    same.release(pool);
  }
}

TEST(BlockTableTail, IsNotCopiedOntoItself) {
  BlockPool pool(4);
  const auto tokens = tokens_upto(20);
  BlockTable first(root(), 1000);
  ASSERT_TRUE(first.grow(pool, 20));
  first.publish_full(pool, tokens, 20);
  first.retire(pool, tokens, 20);
  pool.acquire();
  pool.acquire();
  BlockTable second(root(), 1000);
  EXPECT_EQ(second.adopt_prefix(pool, tokens, 0), 16);
  EXPECT_EQ(pool.available_count(), 1);
  EXPECT_FALSE(second.copy_tail(pool, tokens)) << "the one page left is the tail itself";
  EXPECT_EQ(second.page_count(), 1);
  EXPECT_TRUE(second.grow(pool, 20));
}

TEST(BlockTableTail, OfTheSameTokensIsKeptOnce) {
  BlockPool pool(20);
  const auto tokens = tokens_upto(44);
  for (const size_t count : {44, 40, 44, 43})
    compute_and_retire(pool, std::span(tokens).first(count), root());
  EXPECT_EQ(pool.idle_count(), 3);
}

TEST(BlockTableTail, IsNotKeptBehindABlockThatIsNotPublished) {
  BlockPool pool(20);
  const auto tokens = tokens_upto(44);
  BlockTable table(root(), 1000);
  ASSERT_TRUE(table.grow(pool, 44));
  table.publish_full(pool, tokens, 20);
  table.retire(pool, tokens, 44);
  EXPECT_EQ(pool.idle_count(), 1);
}

TEST(BlockTableStats, CountTheTokensOfACopiedTail) {
  BlockPool pool(40);
  const auto tokens = tokens_upto(100);
  BlockTable first(root(), 1000);
  first.hash_prompt(std::span(tokens).first(30));
  ASSERT_TRUE(first.grow(pool, 44));
  first.publish_full(pool, tokens, 44);
  first.retire(pool, tokens, 44);
  BlockTable second(root(), 1000);
  EXPECT_EQ(second.adopt_prefix(pool, tokens, 0), 32);
  EXPECT_EQ(second.copy_tail(pool, tokens)->tokens, 12);
  second.record_admission(pool, Admission::kFirst);
  EXPECT_EQ(pool.stats().hit_tokens_by_cause, (std::array<int64_t, 4>{16, 28, 0, 0}));
  EXPECT_EQ(pool.stats().hit_tokens, 44);
  EXPECT_EQ(pool.stats().miss_tokens, 56);
  EXPECT_EQ(pool.stats().hit_blocks, 2);
  EXPECT_EQ(pool.stats().miss_blocks, 4);
}

}  // namespace
}  // namespace inferno::kv
