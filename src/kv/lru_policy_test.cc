#include "kv/lru_policy.h"

#include <gtest/gtest.h>

namespace inferno::kv {
namespace {

TEST(LruPolicy, TakesTheLongestIdleWhateverItsHits) {
  LruPolicy policy(3);
  for (uint32_t page : {2u, 0u, 1u}) {
    policy.named({page}, 0);
    for (uint32_t hits = 0; hits < 3 - page; ++hits)
      policy.hit({page});
    policy.idle({page}, BlockPlace::kLeaf);
  }
  EXPECT_EQ(policy.take_victim(), PageId{2});
  EXPECT_EQ(policy.take_victim(), PageId{0});
  EXPECT_EQ(policy.take_victim(), PageId{1});
}

TEST(LruPolicy, UseInBetweenMakesAPageTheYoungest) {
  LruPolicy policy(3);
  for (uint32_t page : {0u, 1u, 2u})
    policy.idle({page}, BlockPlace::kLeaf);
  policy.in_use({0});
  policy.in_use({1});
  policy.idle({0}, BlockPlace::kLeaf);
  EXPECT_EQ(policy.take_victim(), PageId{2});
  EXPECT_EQ(policy.take_victim(), PageId{0});
}

}  // namespace
}  // namespace inferno::kv
