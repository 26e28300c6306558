#include "kv/greedy_dual_policy.h"

#include <gtest/gtest.h>

namespace inferno::kv {
namespace {

void make_idle(EvictionPolicy& policy, uint32_t page, int hits) {
  policy.named({page}, 0);
  for (int i = 0; i < hits; ++i)
    policy.hit({page});
  policy.idle({page}, BlockPlace::kLeaf);
}

TEST(LfuPolicy, TakesTheLeastUsedAndOfEqualOnesTheLongestIdle) {
  LfuPolicy policy(3);
  make_idle(policy, 0, 2);
  make_idle(policy, 1, 0);
  make_idle(policy, 2, 0);
  EXPECT_EQ(policy.take_victim(), PageId{1});
  EXPECT_EQ(policy.take_victim(), PageId{2});
  EXPECT_EQ(policy.take_victim(), PageId{0});
}

TEST(LfuPolicy, ClockPassesAnOldFavourite) {
  LfuPolicy policy(2);
  make_idle(policy, 0, 5);  // used 6 times
  int others = 0;
  for (;; ++others) {
    ASSERT_LT(others, 100);
    make_idle(policy, 1, 0);
    if (policy.take_victim() == PageId{0}) break;
  }
  // Each of the others ranks one above the one before; the sixth ties with the favourite, which is
  // longer idle.
  EXPECT_EQ(others, 5);
}

TEST(LfuPolicy, InnerPageWaitsUntilItBecomesALeaf) {
  LfuPolicy policy(3);
  policy.named({0}, 0);
  policy.idle({0}, BlockPlace::kInner);
  make_idle(policy, 1, 3);
  EXPECT_EQ(policy.take_victim(), PageId{1});
  make_idle(policy, 2, 0);
  policy.became_leaf({0});
  EXPECT_EQ(policy.take_victim(), PageId{0});
  EXPECT_EQ(policy.take_victim(), PageId{2});
}

TEST(CostAwarePolicy, WeighsDepthAgainstUses) {
  constexpr int kDeep = static_cast<int>(CostAwarePolicy::kParityDepth);
  CostAwarePolicy policy(3);
  policy.named({0}, 0);
  policy.named({1}, kDeep - 1);
  policy.named({2}, 0);
  policy.hit({2});
  for (uint32_t page : {2u, 1u, 0u})
    policy.idle({page}, BlockPlace::kLeaf);
  EXPECT_EQ(policy.take_victim(), PageId{0});
  EXPECT_EQ(policy.take_victim(), PageId{1});  // just under twice the cost of a first block
  EXPECT_EQ(policy.take_victim(), PageId{2});
}

}  // namespace
}  // namespace inferno::kv
