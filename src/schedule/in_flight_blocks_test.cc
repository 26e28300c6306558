#include "schedule/in_flight_blocks.h"

#include <gtest/gtest.h>

#include "schedule/test_engine.h"

namespace inferno::schedule {
namespace {

constexpr int kPage = kv::kPageTokens;

std::unique_ptr<Sequence> running_sequence(uint64_t id, std::vector<TokenId> prompt) {
  auto sequence = make_sequence(id, std::move(prompt));
  sequence->order = id;
  sequence->state = SequenceState::kRunning;
  sequence->table.hash_prompt(sequence->tokens);
  return sequence;
}

TEST(InFlightBlocks, FindsWhoComputesABlock) {
  InFlightBlocks blocks(4);
  const auto running = running_sequence(1, counting_tokens(0, 3 * kPage));
  blocks.update(*running);
  EXPECT_EQ(blocks.computer_of(*running->table.block_hash(0)), running.get());
  EXPECT_EQ(blocks.computer_of(*running->table.block_hash(1)), nullptr) << "that is later";
  blocks.remove(*running);
  EXPECT_EQ(blocks.computer_of(*running->table.block_hash(0)), nullptr);
}

TEST(InFlightBlocks, MovesOnWithTheComputer) {
  kv::BlockPool pool(8);
  InFlightBlocks blocks(4);
  const auto running = running_sequence(1, counting_tokens(0, 2 * kPage));
  blocks.update(*running);
  ASSERT_TRUE(running->table.grow(pool, 2 * kPage));
  running->table.publish_full(pool, running->tokens, kPage);
  blocks.update(*running);
  EXPECT_EQ(blocks.computer_of(*running->table.block_hash(0)), nullptr);
  EXPECT_EQ(blocks.computer_of(*running->table.block_hash(1)), running.get());
  running->table.publish_full(pool, running->tokens, 2 * kPage);
  blocks.update(*running);
  EXPECT_EQ(blocks.computer_of(*running->table.block_hash(1)), nullptr);
  running->table.release(pool);
}

TEST(InFlightBlocks, WakesThoseWhoseTokensAreComputedSoonestFirst) {
  InFlightBlocks blocks(4);
  const auto computer = running_sequence(1, counting_tokens(0, 100));
  const auto other = running_sequence(2, counting_tokens(0, 100));
  const auto late = make_sequence(3, counting_tokens(0, 100));
  const auto soon = make_sequence(4, counting_tokens(0, 100));
  const auto elsewhere = make_sequence(5, counting_tokens(0, 100));
  blocks.defer(*late, *computer, 64);
  blocks.defer(*soon, *computer, 32);
  blocks.defer(*elsewhere, *other, 16);
  EXPECT_EQ(blocks.deferred_count(), 3);
  EXPECT_EQ(late->state, SequenceState::kDeferred);
  EXPECT_EQ(blocks.pop_ready(*computer), nullptr);
  computer->computed = 40;
  EXPECT_EQ(blocks.pop_ready(*computer), soon.get());
  EXPECT_EQ(blocks.pop_ready(*computer), nullptr);
  EXPECT_EQ(blocks.pop_any(*computer), late.get());
  EXPECT_EQ(blocks.pop_any(*computer), nullptr);
  blocks.cancel(*elsewhere);
  EXPECT_EQ(blocks.deferred_count(), 0);
}

TEST(SharedBlockTokens, AreWholeBlocksAndNotTheLastToken) {
  const auto running = make_sequence(1, counting_tokens(0, 100));
  std::vector<TokenId> branch = counting_tokens(0, 100);
  branch[40] = -1;
  EXPECT_EQ(shared_block_tokens(*make_sequence(2, branch), *running), 32);
  EXPECT_EQ(shared_block_tokens(*make_sequence(3, counting_tokens(0, 64)), *running), 48);
  EXPECT_EQ(shared_block_tokens(*make_sequence(4, counting_tokens(0, 65)), *running), 64);
  EXPECT_EQ(shared_block_tokens(*make_sequence(5, counting_tokens(1, 65)), *running), 0);
}

}  // namespace
}  // namespace inferno::schedule
