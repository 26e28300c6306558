#include "schedule/length_model.h"

#include <gtest/gtest.h>

namespace inferno::schedule {
namespace {

using request::ServiceClass;

constexpr ServiceClass kClass = ServiceClass::kStandard;

TEST(DecayedMean, IsThePlainMeanOfTheFirstValues) {
  DecayedMean mean;
  for (const double value : {1.0, 2.0, 6.0})
    mean.add(value);
  EXPECT_DOUBLE_EQ(mean.value(), 3.0);
  EXPECT_EQ(mean.count(), 3);
}

TEST(DecayedMean, FollowsAChange) {
  DecayedMean mean;
  for (int i = 0; i < 1000; ++i)
    mean.add(100.0);
  for (int i = 0; i < 150; ++i)
    mean.add(10.0);
  EXPECT_NEAR(mean.value(), 10.0, 1.0);
}

TEST(LengthModel, ExpectsTheLimitUntilItHasSeenAnswers) {
  LengthModel model;
  ClassLengths client;
  EXPECT_EQ(model.predict(client, kClass, 500), 500);
  for (int i = 0; i < LengthModel::kTrusted - 1; ++i)
    model.learn(client, kClass, {.predicted = 500, .generated = 20});
  EXPECT_EQ(model.predict(client, kClass, 500), 500);
  model.learn(client, kClass, {.predicted = 500, .generated = 20});
  EXPECT_EQ(model.predict(client, kClass, 500), 20);
}

TEST(LengthModel, PrefersTheClientsOwnAnswersToThoseOfItsClass) {
  LengthModel model;
  ClassLengths brief;
  ClassLengths verbose;
  for (int i = 0; i < 10; ++i) {
    model.learn(brief, kClass, {.predicted = 10, .generated = 10});
    model.learn(verbose, kClass, {.predicted = 300, .generated = 300});
  }
  const ClassLengths stranger;
  EXPECT_EQ(model.predict(brief, kClass, 1000), 10);
  EXPECT_EQ(model.predict(verbose, kClass, 1000), 300);
  EXPECT_NEAR(model.predict(stranger, kClass, 1000), 155, 20);
  EXPECT_EQ(model.predict(brief, ServiceClass::kBatch, 1000), 1000) << "another class";
}

TEST(LengthModel, NeverExpectsMoreThanIsAllowed) {
  LengthModel model;
  ClassLengths client;
  for (int i = 0; i < 10; ++i)
    model.learn(client, kClass, {.predicted = 300, .generated = 300});
  EXPECT_EQ(model.predict(client, kClass, 16), 16);
  EXPECT_EQ(model.predict(client, kClass, 0), 1);
}

TEST(LengthModel, MeasuresItsError) {
  LengthModel model;
  ClassLengths client;
  model.learn(client, kClass, {.predicted = 30, .generated = 20});
  EXPECT_DOUBLE_EQ(model.error(), 0.5);
}

TEST(LengthModel, KnowsTheMeanOfAClassOnceItIsTrusted) {
  LengthModel model;
  ClassLengths client;
  for (int i = 0; i < LengthModel::kTrusted; ++i) {
    EXPECT_EQ(model.mean_of(ServiceClass::kStandard), 0.0);
    model.learn(client, ServiceClass::kStandard, {.predicted = 1, .generated = 40 + 10 * (i % 2)});
  }
  EXPECT_DOUBLE_EQ(model.mean_of(ServiceClass::kStandard), 45.0);
  EXPECT_EQ(model.mean_of(ServiceClass::kBatch), 0.0);
}

}  // namespace
}  // namespace inferno::schedule
