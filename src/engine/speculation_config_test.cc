#include "engine/speculation_config.h"

#include <gtest/gtest.h>

namespace inferno::engine {
namespace {

TEST(SpeculationConfig, OffMeansNoDraftsAndNobodyToProposeThem) {
  const SpeculationConfig config;
  EXPECT_EQ(draft_limits(config).most_tokens, 0);
  EXPECT_EQ(proposer_of(config), nullptr);
}

TEST(SpeculationConfig, PromptLookupLooksUpTheLengthsItIsTold) {
  const SpeculationConfig config = {.method = SpeculationMethod::kPromptLookup,
                                    .num_speculative_tokens = 3,
                                    .prompt_lookup_max = 2,
                                    .prompt_lookup_min = 2};
  EXPECT_EQ(draft_limits(config).most_tokens, 3);
  const auto proposer = proposer_of(config);
  const auto state = proposer->begin({.max_tokens = 20});
  const std::vector<TokenId> tokens = {1, 2, 3, 9, 2, 1, 2};
  std::vector<TokenId> drafts;
  int match_length = -1;
  DraftJob job{.state = state.get(),
               .tokens = std::span(tokens).first(5),
               .most = 3,
               .drafts = &drafts,
               .match_length = &match_length};
  proposer->propose({&job, 1}, 0);
  EXPECT_EQ(match_length, 0);
  job.tokens = tokens;
  proposer->propose({&job, 1}, 0);
  EXPECT_EQ(match_length, 2);
  EXPECT_EQ(drafts, (std::vector<TokenId>{3, 9, 2}));
  EXPECT_EQ(proposer->pass_cost(), nullptr) << "guesses are found, not computed";
}

TEST(SpeculationConfig, ADraftModelIsNotMadeHere) {
  const SpeculationConfig config = {.method = SpeculationMethod::kDraftModel,
                                    .num_speculative_tokens = 5,
                                    .draft_model = "small"};
  EXPECT_EQ(draft_limits(config).most_tokens, 5);
  EXPECT_EQ(proposer_of(config), nullptr);
}

}  // namespace
}  // namespace inferno::engine
