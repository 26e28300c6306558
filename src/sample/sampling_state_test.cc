#include "sample/sampling_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sample/test_params.h"

namespace inferno::sample {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr TokenId kPrompt[] = {3, 5, 3};
constexpr TokenId kEnds[] = {9, 8};

TEST(SamplingState, CountsPromptAndOutputApart) {
  SamplingState state(TestParams{.frequency_penalty = 1.0f}, kPrompt, kEnds);
  state.accept(5);
  state.accept(5);
  state.accept(7);
  ASSERT_EQ(state.seen().size(), 3u);
  EXPECT_TRUE(state.seen().at(3).in_prompt);
  EXPECT_EQ(state.seen().at(3).output_count, 0);
  EXPECT_TRUE(state.seen().at(5).in_prompt);
  EXPECT_EQ(state.seen().at(5).output_count, 2);
  EXPECT_FALSE(state.seen().at(7).in_prompt);
  EXPECT_EQ(state.output_count(), 3);
}

TEST(SamplingState, CountsNothingWithoutPenalties) {
  SamplingState state({}, kPrompt, kEnds);
  state.accept(5);
  EXPECT_TRUE(state.seen().empty());
  EXPECT_TRUE(state.leaves_logits_alone());
}

TEST(SamplingState, ForbidsEndsUntilMinTokensAreOut) {
  SamplingState state(TestParams{.min_tokens = 2, .stop_token_ids = {4}}, kPrompt, kEnds);
  EXPECT_THAT(state.forbidden(), ElementsAre(9, 8, 4));
  EXPECT_FALSE(state.leaves_logits_alone());
  state.accept(1);
  EXPECT_THAT(state.forbidden(), ElementsAre(9, 8, 4));
  state.accept(1);
  EXPECT_THAT(state.forbidden(), IsEmpty());
  EXPECT_TRUE(state.leaves_logits_alone());
}

TEST(SamplingState, IsGreedyAtTemperatureZero) {
  EXPECT_TRUE(SamplingState(TestParams{.temperature = 0.0f}, {}, {}).is_greedy());
  EXPECT_TRUE(SamplingState(TestParams{.temperature = 1e-6f}, {}, {}).is_greedy());
  EXPECT_FALSE(SamplingState(TestParams{.temperature = 0.01f}, {}, {}).is_greedy());
}

TEST(SamplingState, EachPenaltyAloneCounts) {
  for (const auto& params :
       {TestParams{.presence_penalty = 0.1f}, TestParams{.frequency_penalty = -0.1f},
        TestParams{.repetition_penalty = 1.1f}}) {
    const SamplingState state(params, kPrompt, {});
    EXPECT_TRUE(state.has_penalties());
    EXPECT_EQ(state.seen().size(), 2u);
    EXPECT_FALSE(state.leaves_logits_alone());
  }
}

}  // namespace
}  // namespace inferno::sample
