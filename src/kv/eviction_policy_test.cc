#include "kv/eviction_policy.h"

#include <gmock/gmock.h>

namespace inferno::kv {
namespace {

TEST(EvictionPolicy, IsKnownByItsName) {
  for (EvictionPolicyKind kind :
       {EvictionPolicyKind::kLru, EvictionPolicyKind::kLfu, EvictionPolicyKind::kCost}) {
    const auto named = eviction_policy_named(name_of(kind));
    ASSERT_TRUE(named) << named.error().message;
    EXPECT_EQ(*named, kind);
  }
}

TEST(EvictionPolicy, RefusesAnUnknownNameAndListsTheKnownOnes) {
  const auto named = eviction_policy_named("fifo");
  ASSERT_FALSE(named);
  EXPECT_EQ(named.error().fault, Fault::kInvalid);
  EXPECT_THAT(named.error().message, testing::HasSubstr("\"fifo\""));
  EXPECT_THAT(named.error().message, testing::HasSubstr("lru, lfu, cost"));
}

TEST(EvictionPolicy, EveryKindHandsOutEachIdlePageOnce) {
  for (EvictionPolicyKind kind :
       {EvictionPolicyKind::kLru, EvictionPolicyKind::kLfu, EvictionPolicyKind::kCost}) {
    SCOPED_TRACE(name_of(kind));
    const auto policy = make_eviction_policy(kind, 3);
    for (uint32_t page = 0; page < 3; ++page) {
      policy->named({page}, 0);
      policy->idle({page}, BlockPlace::kLeaf);
    }
    policy->in_use({1});
    EXPECT_EQ(policy->take_victim(), PageId{0});
    EXPECT_EQ(policy->take_victim(), PageId{2});
    EXPECT_DEATH(policy->take_victim(), "idle|empty");
  }
}

}  // namespace
}  // namespace inferno::kv
