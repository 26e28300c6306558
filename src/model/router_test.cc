#include "model/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace inferno::model {
namespace {

using ::testing::ElementsAre;

std::vector<ExpertChoice> choices_of(const std::vector<float>& logits, int used,
                                     ExpertWeighting weighting = ExpertWeighting::kOfChosen) {
  std::vector<ExpertChoice> choices(static_cast<size_t>(used));
  route(
      {.expert_count = static_cast<int>(logits.size()), .used_count = used, .weighting = weighting},
      logits.data(), choices.data());
  return choices;
}

std::vector<int> experts_of(const std::vector<float>& logits, int used) {
  std::vector<int> experts;
  for (const ExpertChoice& choice : choices_of(logits, used))
    experts.push_back(choice.expert);
  return experts;
}

TEST(Router, LargestLogitsFirst) {
  EXPECT_THAT(experts_of({0.5f, 3.0f, -1.0f, 2.0f}, 2), ElementsAre(1, 3));
  EXPECT_THAT(experts_of({0.5f, 3.0f, -1.0f, 2.0f}, 4), ElementsAre(1, 3, 0, 2));
}

TEST(Router, OfEqualLogitsTheLowerIndex) {
  EXPECT_THAT(experts_of({1.0f, 1.0f, 1.0f, 1.0f}, 2), ElementsAre(0, 1));
  EXPECT_THAT(experts_of({1.0f, 2.0f, 1.0f, 2.0f}, 3), ElementsAre(1, 3, 0));
  EXPECT_THAT(experts_of({-0.0f, 0.0f}, 1), ElementsAre(0));
}

TEST(Router, WeightsOfTheChosenAddUpToOne) {
  const auto choices = choices_of({0.0f, std::log(3.0f), -5.0f}, 2);
  EXPECT_FLOAT_EQ(choices[0].weight, 0.75f);
  EXPECT_FLOAT_EQ(choices[1].weight, 0.25f);
}

TEST(Router, WeightsOfAllLeaveRoomForTheOthers) {
  const auto choices =
      choices_of({0.0f, std::log(2.0f), std::log(5.0f)}, 2, ExpertWeighting::kOfAll);
  EXPECT_FLOAT_EQ(choices[0].weight, 5.0f / 8.0f);
  EXPECT_FLOAT_EQ(choices[1].weight, 2.0f / 8.0f);
}

// Against a stable sort and the library's exponential.
TEST(Router, AgreesWithANaiveOneOnRandomLogits) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0.0f, 4.0f);
  for (int round = 0; round < 500; ++round) {
    const int count = 1 + static_cast<int>(random() % 130);
    const int used = 1 + static_cast<int>(random() % static_cast<uint32_t>(std::min(count, 16)));
    std::vector<float> logits(static_cast<size_t>(count));
    for (float& logit : logits)  // quarters: ties are common
      logit = std::round(normal(random) * 4.0f) / 4.0f;
    std::vector<int> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, [&](int a, int b) {
      const float first = logits[static_cast<size_t>(a)];
      const float second = logits[static_cast<size_t>(b)];
      return first != second ? first > second : a < b;
    });
    const auto weighting = round % 2 == 0 ? ExpertWeighting::kOfChosen : ExpertWeighting::kOfAll;
    const int whole_count = weighting == ExpertWeighting::kOfChosen ? used : count;
    double whole = 0.0;
    for (int i = 0; i < whole_count; ++i) {
      whole +=
          std::exp(static_cast<double>(logits[static_cast<size_t>(order[static_cast<size_t>(i)])]));
    }
    const auto choices = choices_of(logits, used, weighting);
    for (size_t i = 0; i < choices.size(); ++i) {
      ASSERT_EQ(choices[i].expert, order[i]) << "round " << round;
      const double want =
          std::exp(static_cast<double>(logits[static_cast<size_t>(order[i])])) / whole;
      ASSERT_NEAR(static_cast<double>(choices[i].weight), want, 2e-6 * want);
    }
  }
}

TEST(Router, FarLogitsDoNotOverflow) {
  const auto choices = choices_of({-1e30f, 1e30f, 3e38f}, 3);
  EXPECT_EQ(choices[0].expert, 2);
  EXPECT_EQ(choices[0].weight, 1.0f);
  EXPECT_EQ(choices[1].weight, 0.0f);
  EXPECT_EQ(choices[2].weight, 0.0f);
}

TEST(Router, WhatIsNoNumberComesLastAndEveryChoiceIsAnotherExpert) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_THAT(experts_of({kNan, -1.0f, kNan, -2.0f}, 3), ElementsAre(1, 3, 0));
  EXPECT_THAT(experts_of({kNan, kNan, kNan}, 2), ElementsAre(0, 1));
  EXPECT_THAT(experts_of({-kInfinity, kNan, kInfinity, kInfinity}, 4), ElementsAre(2, 3, 0, 1));
  EXPECT_EQ(choices_of({kNan, -1.0f}, 2)[0].weight, 1.0f);
}

}  // namespace
}  // namespace inferno::model
