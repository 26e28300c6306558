#include "schedule/scheduler_config.h"

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

}  // namespace
}  // namespace inferno::schedule
