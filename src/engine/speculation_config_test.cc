#include "engine/speculation_config.h"

#include <gtest/gtest.h>

namespace inferno::engine {
namespace {

TEST(SpeculationConfig, OffMeansNoDraftsAndNobodyToProposeThem) {
  const SpeculationConfig config;
  EXPECT_EQ(draft_limits(config).most_tokens, 0);
  EXPECT_FALSE(proposer_factory(config));
}

TEST(SpeculationConfig, PromptLookupLooksUpTheLengthsItIsTold) {
  const SpeculationConfig config = {.method = SpeculationMethod::kPromptLookup,
                                    .num_speculative_tokens = 3,
                                    .prompt_lookup_max = 2,
                                    .prompt_lookup_min = 2};
  EXPECT_EQ(draft_limits(config).most_tokens, 3);
  const auto proposer = proposer_factory(config)(20);
  std::vector<TokenId> drafts;
  EXPECT_EQ(proposer->propose(std::vector<TokenId>{1, 2, 3, 9, 2}, 3, drafts), 0);
  EXPECT_EQ(proposer->propose(std::vector<TokenId>{1, 2, 3, 9, 2, 1, 2}, 3, drafts), 2);
  EXPECT_EQ(drafts, (std::vector<TokenId>{3, 9, 2}));
}

}  // namespace
}  // namespace inferno::engine
