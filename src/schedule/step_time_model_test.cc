#include "schedule/step_time_model.h"

#include <gtest/gtest.h>

#include <climits>
#include <random>

namespace inferno::schedule {
namespace {

struct Machine {
  double step_s = 0.02, row_s = 0.0005, read_s = 4e-8;
  double prefill_start_s = 0.004, prefill_s = 0.0003, prefill_read_s = 2e-8;
  double of(const StepFeatures& f) const {
    const double prefill = (f.prefill_tokens > 0 ? prefill_start_s : 0.0) +
                           prefill_s * f.prefill_tokens +
                           prefill_read_s * static_cast<double>(f.prefill_reads);
    return step_s + row_s * f.decode_rows + read_s * static_cast<double>(f.decode_reads) +
           f.prefill_share * prefill;
  }
};

StepFeatures random_step(std::mt19937_64& random) {
  StepFeatures features;
  features.decode_rows = static_cast<int>(random() % 32);
  features.prefill_tokens = random() % 2 == 0 ? 0 : static_cast<int>(random() % 500) + 1;
  features.decode_reads = static_cast<int64_t>(features.decode_rows * (100 + random() % 2000));
  features.prefill_reads = static_cast<int64_t>(features.prefill_tokens * (random() % 1000));
  features.prefill_share = random() % 2 == 0 ? 1.0 : static_cast<double>(random() % 8 + 1) / 8;
  return features;
}

void teach(StepTimeModel& model, const Machine& machine, int steps, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> noise(1.0, 0.03);
  for (int i = 0; i < steps; ++i) {
    const StepFeatures features = random_step(random);
    model.learn(features, machine.of(features) * std::max(0.5, noise(random)));
  }
}

double worst_error(const StepTimeModel& model, const Machine& machine) {
  std::mt19937_64 random(1234);
  double worst = 0.0;
  for (int i = 0; i < 200; ++i) {
    const StepFeatures features = random_step(random);
    const double truth = machine.of(features);
    worst = std::max(worst, std::abs(model.predict(features) - truth) / truth);
  }
  return worst;
}

TEST(StepTimeModel, IsTrustedAfterEnoughStepsOfBothKinds) {
  StepTimeModel model;
  for (int i = 0; i < 20; ++i)
    model.learn({.decode_rows = 1, .decode_reads = 10}, 0.02);
  EXPECT_FALSE(model.is_trusted());
  for (int i = 0; i < StepTimeModel::kTrustedSteps; ++i)
    model.learn({.decode_rows = 1, .prefill_tokens = 64, .prefill_reads = 2000}, 0.04);
  EXPECT_TRUE(model.is_trusted());
}

TEST(StepTimeModel, LearnsALinearMachine) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    StepTimeModel model;
    teach(model, {}, 300, seed);
    EXPECT_LT(worst_error(model, {}), 0.08) << "seed " << seed;
    EXPECT_LT(model.error(), 0.1) << "seed " << seed;
  }
}

// Steps as they are before the model is trusted: of equally many prompt tokens each, a part of the
// layers at a time.
void teach_equal_chunks(StepTimeModel& model, const Machine& machine, int tokens) {
  for (int i = 0; i < 40; ++i) {
    const StepFeatures decode{.decode_rows = 8, .decode_reads = 2000};
    model.learn(decode, machine.of(decode));
    StepFeatures features = decode;
    features.prefill_tokens = tokens;
    features.prefill_reads = positions_read(tokens * (i / 4), tokens);
    features.prefill_share = 0.25;
    model.learn(features, machine.of(features));
  }
}

TEST(StepTimeModel, ExpectsMoreTokensToCostMoreThoughAllStepsHadAsMany) {
  for (const int tokens : {7, 16, 32, 64}) {
    StepTimeModel model;
    const Machine machine{.prefill_start_s = 0.004, .prefill_s = 0.0003};
    teach_equal_chunks(model, machine, tokens);
    ASSERT_TRUE(model.is_trusted());
    const double seconds = model.first_prefill_seconds() + model.prefill_seconds(0, tokens);
    EXPECT_NEAR(seconds, 0.004 + 0.0003 * tokens, 0.0005) << "together they are known";
    const int in_twice =
        model.prefill_tokens_within(2 * seconds - model.first_prefill_seconds(), 0);
    EXPECT_LE(in_twice, 2.5 * tokens) << tokens << " tokens a step";
  }
}

TEST(StepTimeModel, TellsTheFirstTokenFromOthersOnceStepsDiffer) {
  StepTimeModel model;
  const Machine machine{.prefill_start_s = 0.008, .prefill_s = 0.0002};
  teach_equal_chunks(model, machine, 32);
  EXPECT_LT(model.first_prefill_seconds(), 0.001);
  teach_equal_chunks(model, machine, 64);
  EXPECT_NEAR(model.first_prefill_seconds(), 0.008, 0.002);
  EXPECT_NEAR(model.prefill_seconds(0, 64), 64 * 0.0002, 0.002);
}

TEST(StepTimeModel, FollowsAMachineThatSlowsDown) {
  StepTimeModel model;
  teach(model, {}, 500, 1);
  const Machine slow{.step_s = 0.05,
                     .row_s = 0.0015,
                     .read_s = 1e-7,
                     .prefill_start_s = 0.01,
                     .prefill_s = 0.0009,
                     .prefill_read_s = 6e-8};
  teach(model, slow, 600, 2);
  EXPECT_LT(worst_error(model, slow), 0.15);
}

TEST(StepTimeModel, IsNotTurnedRoundByOutliers) {
  StepTimeModel model;
  teach(model, {}, 300, 1);
  std::mt19937_64 random(5);
  for (int i = 0; i < 5; ++i) {
    model.learn(random_step(random), 10.0);
    teach(model, {}, 10, 100 + static_cast<uint64_t>(i));
  }
  EXPECT_LT(worst_error(model, {}), 0.2);
}

TEST(StepTimeModel, NeverExpectsLessTimeOfMoreWork) {
  StepTimeModel model;
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> any(0.001, 1.0);
  for (int i = 0; i < 2000; ++i) {
    model.learn(random_step(random), any(random));
    const StepFeatures less{.decode_rows = 3, .prefill_tokens = 10, .prefill_reads = 500};
    const StepFeatures more{.decode_rows = 4, .prefill_tokens = 20, .prefill_reads = 5000};
    ASSERT_LE(model.predict(less), model.predict(more)) << "after step " << i;
    ASSERT_GE(model.predict(less), 0.0);
  }
}

TEST(StepTimeModel, StaysSoundOverHundredsOfThousandsOfEqualSteps) {
  StepTimeModel model;
  teach(model, {}, 300, 1);
  const StepFeatures same{.decode_rows = 8, .prefill_tokens = 32, .prefill_reads = 10'000};
  for (int i = 0; i < 300'000; ++i)
    model.learn(same, Machine{}.of(same));
  EXPECT_NEAR(model.predict(same), Machine{}.of(same), 1e-3);
  EXPECT_LT(worst_error(model, {}), 0.5)
      << "what is not seen any more is not turned into its contrary";
}

TEST(StepTimeModel, IgnoresAClockThatStandsStill) {
  StepTimeModel model;
  for (int i = 0; i < 100; ++i) {
    model.learn({.decode_rows = 1, .decode_reads = 10}, 0.0);
    model.learn({.decode_rows = 1, .prefill_tokens = 9, .prefill_reads = 10}, 0.0);
  }
  EXPECT_FALSE(model.is_trusted());
  EXPECT_EQ(model.predict({.decode_rows = 1, .prefill_tokens = 9, .prefill_reads = 10}), 0.0);
}

TEST(StepTimeModel, WantsAStepWithoutPrefillNowAndThen) {
  StepTimeModel model;
  const StepFeatures mixed{.decode_rows = 2, .prefill_tokens = 32, .prefill_reads = 1000};
  for (int i = 0; i < StepTimeModel::kFirstProbeSteps; ++i) {
    EXPECT_FALSE(model.wants_decode_only_step());
    model.learn(mixed, 0.05);
  }
  EXPECT_TRUE(model.wants_decode_only_step());
  model.learn({.decode_rows = 2, .decode_reads = 100}, 0.02);
  EXPECT_FALSE(model.wants_decode_only_step());
}

TEST(StepTimeModel, SizesAChunkToTheTimeThereIs) {
  StepTimeModel model;
  teach(model, {}, 500, 1);
  for (const int first : {0, 1000, 20'000}) {
    for (const double seconds : {0.001, 0.02, 0.3}) {
      const int tokens = model.prefill_tokens_within(seconds, first);
      EXPECT_LE(model.prefill_seconds(first, tokens), seconds * 1.0001);
      EXPECT_GT(model.prefill_seconds(first, tokens + 1), seconds * 0.9999);
    }
  }
  EXPECT_EQ(model.prefill_tokens_within(0.0, 0), 0);
  EXPECT_EQ(StepTimeModel().prefill_tokens_within(0.1, 0), INT_MAX) << "it knows no cost";
}

TEST(PositionsRead, AreThoseBeforeEachTokenAndItself) {
  EXPECT_EQ(positions_read(0, 3), 1 + 2 + 3);
  EXPECT_EQ(positions_read(10, 2), 11 + 12);
  EXPECT_EQ(positions_read(1'000'000, 4096), int64_t{4096} * 1'000'000 + 4096 * 4097 / 2);
}

}  // namespace
}  // namespace inferno::schedule
