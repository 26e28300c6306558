#include "schedule/scheduler_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferno::schedule {
namespace {

TEST(PolicyNames, LeadBackToTheirPolicies) {
  for (const Policy policy : {Policy::kFcfs, Policy::kPriority, Policy::kSlo}) {
    EXPECT_EQ(policy_named(name_of(policy)), policy);
  }
}

TEST(PolicyNames, OfUnknownPoliciesAreRefused) {
  EXPECT_EQ(policy_named("edf"), std::nullopt);
  EXPECT_EQ(policy_named(""), std::nullopt);
  EXPECT_EQ(policy_named("SLO"), std::nullopt);
}

TEST(CheckLimits, AStepHoldsAtLeastATokenOfEverySequence) {
  EXPECT_TRUE(check_limits({.max_num_seqs = 8, .max_num_batched_tokens = 8}).has_value());
  const Result<void> checked = check_limits({.max_num_seqs = 9, .max_num_batched_tokens = 8});
  ASSERT_FALSE(checked.has_value());
  EXPECT_EQ(checked.error().fault, Fault::kInvalid);
  EXPECT_THAT(checked.error().message,
              testing::AllOf(testing::HasSubstr("max-num-batched-tokens 8"),
                             testing::HasSubstr("max-num-seqs 9")));
}

}  // namespace
}  // namespace inferno::schedule
