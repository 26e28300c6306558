#include "schedule/step_plan.h"

#include <gtest/gtest.h>

#include "schedule/test_engine.h"

namespace inferno::schedule {
namespace {

SchedulerConfig small() {
  SchedulerConfig config;
  config.max_num_seqs = 4;
  config.max_num_batched_tokens = 50;
  return config;
}

TEST(StepPlan, AddsToAChunkOfTheSameSequence) {
  StepPlan plan(small());
  plan.clear();
  const auto sequence = make_sequence(1, counting_tokens(0, 40));
  plan.add(*sequence, 10);
  plan.add(*sequence, 5);
  ASSERT_EQ(plan.chunks().size(), 1u);
  EXPECT_EQ(plan.chunks()[0].count, 15);
  EXPECT_FALSE(plan.chunks()[0].yields);
  EXPECT_EQ(plan.budget(), 35);
  EXPECT_EQ(plan.planned_of(*sequence), 15);
  EXPECT_EQ(plan.unplanned_of(*sequence), 25);
  plan.add(*sequence, 25);
  EXPECT_TRUE(plan.chunks()[0].yields);
}

TEST(StepPlan, GivesTheTokensOfARemovedSequenceBack) {
  StepPlan plan(small());
  plan.clear();
  const auto first = make_sequence(1, counting_tokens(0, 10));
  const auto second = make_sequence(2, counting_tokens(0, 20));
  plan.add(*first, 10);
  plan.add(*second, 20);
  plan.remove(*first);
  plan.remove(*first);
  EXPECT_EQ(plan.budget(), 30);
  ASSERT_EQ(plan.chunks().size(), 1u);
  EXPECT_EQ(plan.chunks()[0].sequence, second.get());
  EXPECT_EQ(plan.planned_of(*second), 20);
}

TEST(StepPlan, TellsWhatAStepConsistsOf) {
  StepPlan plan(small());
  plan.clear();
  const auto decode = make_sequence(1, counting_tokens(0, 30));
  decode->computed = 29;
  const auto prefill = make_sequence(2, counting_tokens(0, 20));
  prefill->computed = 4;
  plan.add(*decode, 1);
  plan.add(*prefill, 2);
  const StepFeatures features = plan.features();
  EXPECT_EQ(features.decode_rows, 1);
  EXPECT_EQ(features.prefill_tokens, 2);
  EXPECT_EQ(features.decode_reads, 30);
  EXPECT_EQ(features.prefill_reads, 5 + 6);
  EXPECT_EQ(features.prefill_share, 1.0);
}

TEST(StepPlan, CarriesWhatIsNotADecodeRow) {
  SchedulerConfig config = small();
  config.layer_count = 4;
  StepPlan plan(config);
  plan.clear();
  const auto prefill = make_sequence(1, counting_tokens(0, 20));
  const auto decode = make_sequence(2, counting_tokens(0, 30));
  decode->computed = 29;
  plan.add(*prefill, 20);
  plan.add(*decode, 1);
  plan.carry_prefills({1, 3});
  EXPECT_EQ(plan.features().prefill_share, 0.5);
  EXPECT_EQ(plan.features().decode_rows, 1);
  const ScheduledChunk& first = plan.chunks()[0];
  const ScheduledChunk& last = plan.chunks()[1];
  EXPECT_EQ(first.sequence, decode.get());
  EXPECT_TRUE(first.yields);
  EXPECT_FALSE(first.is_unfinished);
  EXPECT_EQ(last.sequence, prefill.get());
  EXPECT_EQ(last.layers.begin, 1);
  EXPECT_EQ(last.layers.end, 3);
  EXPECT_TRUE(last.is_unfinished);
  EXPECT_FALSE(last.yields) << "its last layer has not chosen anything yet";
  plan.remove(*decode);
  EXPECT_EQ(plan.planned_of(*prefill), 20);
}

TEST(StepPlan, KeepsTheOrderOfWhatItCarriesAndOfWhatItDoesNot) {
  SchedulerConfig config;
  config.max_num_seqs = 40;
  config.layer_count = 2;
  StepPlan plan(config);
  plan.clear();
  std::vector<std::unique_ptr<Sequence>> sequences;
  for (int i = 0; i < config.max_num_seqs; ++i) {
    const auto id = static_cast<uint64_t>(i);
    sequences.push_back(make_sequence(id, counting_tokens(0, 20)));
    const bool decodes = i % 3 == 1;
    if (decodes) sequences.back()->computed = 19;
    plan.add(*sequences.back(), decodes ? 1 : 2);
  }
  plan.carry_prefills({0, 1});
  const auto chunks = plan.chunks();
  for (size_t i = 0; i < chunks.size(); ++i) {
    EXPECT_EQ(chunks[i].sequence->chunk_index, static_cast<int>(i));
    if (i == 0) continue;
    const bool changes_kind = chunks[i - 1].is_decode() && !chunks[i].is_decode();
    EXPECT_TRUE(changes_kind || chunks[i - 1].is_decode() == chunks[i].is_decode());
    EXPECT_TRUE(changes_kind || chunks[i - 1].sequence->id.value < chunks[i].sequence->id.value);
  }
}

TEST(StepPlan, DraftsAreRowsOfTheirSequenceAndNotKnownTokens) {
  StepPlan plan(small());
  plan.clear();
  const auto sequence = make_sequence(1, counting_tokens(0, 30));
  sequence->computed = 29;
  plan.add(*sequence, 1);
  plan.add_drafts(*sequence, 3);
  EXPECT_EQ(plan.budget(), 46);
  EXPECT_EQ(plan.planned_of(*sequence), 1);
  EXPECT_EQ(plan.unplanned_of(*sequence), 0);
  const ScheduledChunk& chunk = plan.chunks()[0];
  EXPECT_EQ(chunk.count, 4);
  EXPECT_EQ(chunk.known_count(), 1);
  EXPECT_TRUE(chunk.yields);
  EXPECT_EQ(plan.features().decode_rows, 4);
  EXPECT_EQ(plan.features().decode_reads, 30 + 31 + 32 + 33);
  plan.remove(*sequence);
  EXPECT_EQ(plan.budget(), 50);
}

TEST(StepPlan, KeepsItsChunksWhenItIsClosed) {
  StepPlan plan(small());
  plan.clear();
  auto sequence = make_sequence(1, counting_tokens(0, 10));
  plan.add(*sequence, 10);
  plan.close();
  EXPECT_EQ(plan.chunks().size(), 1u);
  EXPECT_FALSE(sequence->chunk_index.has_value());
  sequence.reset();
  plan.clear();
  EXPECT_TRUE(plan.chunks().empty());
  EXPECT_EQ(plan.budget(), 50);
}

}  // namespace
}  // namespace inferno::schedule
