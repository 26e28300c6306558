#include "schedule/row_cost.h"

#include <gtest/gtest.h>

#include <random>

namespace inferno::schedule {
namespace {

void learn_often(RowCost& cost, int rows, double seconds) {
  for (int i = 0; i < 50; ++i)
    cost.learn(rows, seconds);
}

TEST(RowCost, KnowsNothingAtFirst) {
  RowCost cost;
  EXPECT_EQ(cost.seconds(4), 0.0);
  cost.learn(1, 0.0);
  EXPECT_EQ(cost.seconds(4), 0.0);
}

TEST(RowCost, BelievesThatAnUntriedRowIsNearlyFree) {
  RowCost cost;
  learn_often(cost, 1, 0.1);
  EXPECT_NEAR(cost.seconds(1), 0.1, 1e-9);
  EXPECT_GT(cost.seconds(9), 0.1);
  EXPECT_LT(cost.seconds(9), 0.12);
}

TEST(RowCost, IsWhatWasMeasuredAndALineBetween) {
  RowCost cost;
  learn_often(cost, 1, 0.1);
  learn_often(cost, 9, 0.3);
  EXPECT_NEAR(cost.seconds(9) / cost.seconds(1), 3.0, 0.15);
  EXPECT_NEAR(cost.seconds(5) / cost.seconds(1), 2.0, 0.1);
}

TEST(RowCost, OneSlowFirstTimeIsNotBelieved) {
  RowCost cost;
  learn_often(cost, 1, 0.1);
  cost.learn(5, 2.0);
  EXPECT_LT(cost.seconds(5), 0.12);  // still untried
  cost.learn(5, 0.11);
  cost.learn(5, 0.5);
  EXPECT_NEAR(cost.seconds(5), 0.11, 0.001);
}

TEST(RowCost, WhatChangesAllStepsMovesTheUnseenOnesToo) {
  RowCost cost;
  learn_often(cost, 1, 0.1);
  learn_often(cost, 8, 0.2);
  learn_often(cost, 1, 0.2);  // a longer context
  EXPECT_NEAR(cost.seconds(1), 0.2, 0.01);
  EXPECT_GT(cost.seconds(8), 0.27);
}

TEST(RowCost, MoreRowsNeverTakeLess) {
  std::mt19937 random(5);
  RowCost cost;
  for (int step = 0; step < 3000; ++step) {
    const int rows = 1 + static_cast<int>(random() % (step % 2 == 0 ? 20 : 2000));
    cost.learn(rows, 0.01 * (1 + static_cast<int>(random() % 100)));
    if (step % 100 != 0) continue;
    for (int r = 1; r < 2500; ++r)
      ASSERT_LE(cost.seconds(r), cost.seconds(r + 1) * (1 + 1e-12)) << r << " rows";
  }
}

TEST(RowCost, LearnsACurveWithAStep) {
  const auto truth = [](int rows) { return rows <= 4 ? 0.1 : 0.1 + 0.02 * (rows - 4); };
  std::mt19937 random(9);
  RowCost cost;
  for (int step = 0; step < 4000; ++step) {
    const int rows = 1 + static_cast<int>(random() % 64);
    cost.learn(rows, truth(rows));
  }
  for (const int rows : {1, 2, 4, 6, 10, 16, 32, 60})
    EXPECT_NEAR(cost.seconds(rows) / truth(rows), 1.0, 0.15) << rows << " rows";
}

TEST(RowCost, TriesAgainWhatWasLongAgo) {
  RowCost cost;
  learn_often(cost, 1, 0.1);
  learn_often(cost, 8, 0.4);
  for (int64_t i = 0; i <= RowCost::kStaleSteps; ++i)
    cost.learn(1, 0.1);
  EXPECT_LT(cost.seconds(8), 0.13);
}

TEST(RowCost, TriesNoMoreThanTwiceWhatItKnows) {
  RowCost cost;
  EXPECT_EQ(cost.most_rows(), 32);
  learn_often(cost, 1, 0.1);
  EXPECT_EQ(cost.most_rows(), 32);
  learn_often(cost, 64, 0.4);
  EXPECT_EQ(cost.most_rows(), 128);
}

TEST(RowCost, TakesAnyNumberOfRows) {
  RowCost cost;
  cost.learn(1, 0.1);
  cost.learn(1'000'000, 5.0);
  EXPECT_GE(cost.seconds(1 << 30), cost.seconds(1));
}

}  // namespace
}  // namespace inferno::schedule
