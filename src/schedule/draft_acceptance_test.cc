#include "schedule/draft_acceptance.h"

#include <gtest/gtest.h>

namespace inferno::schedule {
namespace {

constexpr double kMemory = 16.0;

TEST(DraftAcceptance, LongMatchesAreCountedApart) {
  EXPECT_EQ(DraftAcceptance::class_of(1), 0);
  EXPECT_EQ(DraftAcceptance::class_of(3), 0);
  EXPECT_EQ(DraftAcceptance::class_of(4), 1);
  EXPECT_EQ(DraftAcceptance::class_of(8), 2);
  EXPECT_EQ(DraftAcceptance::class_of(16), 3);
  EXPECT_EQ(DraftAcceptance::class_of(1000), 3);
  DraftAcceptance acceptance;
  acceptance.learn(2, {.hits = 0, .has_missed = true}, kMemory);
  acceptance.learn(20, {.hits = 5, .has_missed = false}, kMemory);
  EXPECT_EQ(acceptance.rate(2), 0.0);
  EXPECT_EQ(acceptance.rate(20), 1.0);
}

TEST(DraftAcceptance, IsThePartThatCameTrue) {
  DraftAcceptance acceptance;
  for (int i = 0; i < 1000; ++i)
    acceptance.learn(5, {.hits = 3, .has_missed = true}, kMemory);
  EXPECT_NEAR(acceptance.rate(5), 0.75, 1e-9);
}

TEST(DraftAcceptance, LeansOnOthersUntilItHasSeenEnough) {
  const DraftAcceptance others = DraftAcceptance::prior();
  DraftAcceptance own;
  EXPECT_DOUBLE_EQ(own.rate(4, others), others.rate(4));
  double last = own.rate(4, others);
  for (int i = 0; i < 20; ++i) {
    own.learn(4, {.hits = 0, .has_missed = true}, kMemory);
    EXPECT_LT(own.rate(4, others), last);
    last = own.rate(4, others);
  }
  EXPECT_LT(last, 0.2);
}

TEST(DraftAcceptance, ForgetsWhatWasLongAgo) {
  const DraftAcceptance others = DraftAcceptance::prior();
  DraftAcceptance own;
  for (int i = 0; i < 1000; ++i)
    own.learn(4, {.hits = 0, .has_missed = true}, kMemory);
  for (int i = 0; i < 40; ++i)
    own.learn(4, {.hits = 1, .has_missed = false}, kMemory);
  EXPECT_GT(own.rate(4, others), 0.8);
}

}  // namespace
}  // namespace inferno::schedule
