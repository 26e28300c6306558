#include "schedule/chunk_sizer.h"

#include <gtest/gtest.h>

#include <climits>

#include "schedule/test_engine.h"

namespace inferno::schedule {
namespace {

using request::ServiceClass;

// A model of steps of 20 ms and 1 ms a prompt token, nothing else.
StepTimeModel taught() {
  StepTimeModel model;
  for (int i = 0; i < 50; ++i) {
    model.learn({.decode_rows = i % 7, .decode_reads = i * 37 % 1000}, 0.02);
    const int tokens = 10 + i * 13 % 90;
    model.learn({.decode_rows = i % 5, .prefill_tokens = tokens, .prefill_reads = i * 53 % 1000},
                0.02 + 0.001 * tokens);
  }
  model.learn({.decode_rows = 1, .decode_reads = 10}, 0.02);
  return model;
}

struct PlanSetup {
  explicit PlanSetup(std::optional<ServiceClass> service_class = std::nullopt)
      : decode(make_sequence(1, counting_tokens(0, 10), {.service_class = service_class})) {
    decode->computed = 9;
    config.targets = {ServiceTarget{1.0, 0.03}, ServiceTarget{}, ServiceTarget{}};
    config.max_itl_stretch = 1.5;
    plan.emplace(config);
    plan->clear();
  }
  void add_decode() { plan->add(*decode, 1); }

  SchedulerConfig config;
  std::unique_ptr<Sequence> decode;
  std::optional<StepPlan> plan;
};

TEST(ChunkSizer, LimitsNothingWhenNobodyDecodes) {
  const StepTimeModel model = taught();
  PlanSetup setup;
  const ChunkSizer sizer(*setup.plan, model, 0, setup.config);
  EXPECT_FALSE(sizer.is_limited());
  EXPECT_EQ(sizer.limit(0), INT_MAX);
}

TEST(ChunkSizer, LetsLittleThroughBeforeItKnowsEnough) {
  const StepTimeModel model;
  PlanSetup setup;
  setup.add_decode();
  EXPECT_EQ(ChunkSizer(*setup.plan, model, 0, setup.config).limit(0), ChunkSizer::kUnlearnedTokens);
}

TEST(ChunkSizer, KeepsTheStretch) {
  const StepTimeModel model = taught();
  PlanSetup setup;
  setup.add_decode();
  setup.config.max_itl_stretch = 3.0;  // 40 ms on top of 20 ms
  EXPECT_NEAR(ChunkSizer(*setup.plan, model, 0, setup.config).limit(0), 40, 2);
}

TEST(ChunkSizer, GivesUpTheStretchWhenMoreWaitThanRun) {
  const StepTimeModel model = taught();
  PlanSetup setup;
  setup.add_decode();
  EXPECT_LT(ChunkSizer(*setup.plan, model, 1, setup.config).limit(0), INT_MAX);
  EXPECT_EQ(ChunkSizer(*setup.plan, model, 2, setup.config).limit(0), INT_MAX);
  setup.config.targets[1].tpot_s = 0.1;
  const double left_s = 0.1 * ChunkSizer::kTargetShare - 0.02;
  EXPECT_NEAR(ChunkSizer(*setup.plan, model, 2, setup.config).limit(0), left_s / 0.001, 2);
}

TEST(ChunkSizer, KeepsTheStricterTargetOfTheClass) {
  const StepTimeModel model = taught();
  PlanSetup setup(ServiceClass::kInteractive);
  setup.add_decode();
  setup.config.max_itl_stretch = 3.0;
  setup.config.targets[0].tpot_s = 0.06;
  const double left_s = 0.06 * ChunkSizer::kTargetShare - 0.02;
  EXPECT_NEAR(ChunkSizer(*setup.plan, model, 0, setup.config).limit(0), left_s / 0.001, 2);
}

TEST(ChunkSizer, GivesPrefillALeastShareOfTheTime) {
  const StepTimeModel model = taught();
  PlanSetup setup(ServiceClass::kInteractive);
  setup.add_decode();
  setup.config.targets[0].tpot_s = 0.001;  // cannot be kept at all
  ChunkSizer sizer(*setup.plan, model, 0, setup.config);
  const int share = sizer.limit(0);
  EXPECT_NEAR(share, ChunkSizer::kLeastShare * 0.02 / 0.001, 1);
  sizer.spend(0, share);
  EXPECT_EQ(sizer.limit(500), 0);
}

TEST(ChunkSizer, LetsATokenThroughHoweverDeepItLies) {
  StepTimeModel model;
  for (int i = 0; i < 100; ++i) {
    model.learn({.decode_rows = 1, .decode_reads = 10}, 0.02);
    const bool is_deep = i % 2 == 0;
    const int count = is_deep ? 2 : 20;
    const int64_t read = positions_read(is_deep ? 50'000 : 0, count);
    model.learn(
        {.decode_rows = 1, .decode_reads = 10, .prefill_tokens = count, .prefill_reads = read},
        is_deep ? 0.121 : 0.03);
  }
  PlanSetup setup;
  setup.add_decode();
  ChunkSizer sizer(*setup.plan, model, 0, setup.config);
  EXPECT_GT(sizer.limit(0), 10);
  EXPECT_EQ(sizer.limit(100'000), ChunkSizer::kLeastTokens) << "0.1 s a token";
  sizer.spend(100'000, 1);
  EXPECT_EQ(sizer.limit(0), 0);
}

TEST(ChunkSizer, CarriesTokensForWhichAStepHasNoTime) {
  const StepTimeModel model = taught();
  PlanSetup setup;
  setup.add_decode();
  setup.config.max_itl_stretch = 1.5;  // 10 ms more: 10 tokens
  setup.config.layer_count = 20;
  ChunkSizer sizer(*setup.plan, model, 0, setup.config);
  EXPECT_NEAR(sizer.limit(0), 50, 1) << "64 take 6.4 steps: 7, as many as 66";
  sizer.spend(0, 40);
  EXPECT_NEAR(sizer.limit(40), 10, 1);
  EXPECT_EQ(sizer.layers_of(20), 5) << "10 of 40 ms";
  EXPECT_EQ(sizer.layers_of(2), 2);
}

// Whatever time there is and however many layers: in the steps that a chunk takes no time for many
// more tokens is left over.
TEST(ChunkSizer, FillsTheStepsThatAChunkTakes) {
  const StepTimeModel model = taught();
  for (const int layer_count : {2, 3, 7, 12, 28, 30, 80}) {
    for (const double stretch : {1.26, 1.3, 1.45, 1.7, 1.95, 2.3, 3.1}) {
      PlanSetup setup;
      setup.add_decode();
      setup.config.max_itl_stretch = stretch;
      setup.config.layer_count = layer_count;
      const double most_s = (stretch - 1.0) * 0.02;
      ChunkSizer sizer(*setup.plan, model, 0, setup.config);
      const int tokens = sizer.limit(0);
      sizer.spend(0, tokens);
      int steps = 0;
      int longest = 0;
      for (int left = layer_count; left > 0; ++steps) {
        const int layers = sizer.layers_of(left);
        longest = std::max(longest, layers);
        left -= layers;
      }
      EXPECT_LE(0.001 * tokens * longest / layer_count, 1.1 * most_s)
          << layer_count << " layers, " << stretch;
      EXPECT_GE(0.001 * tokens / steps, 0.85 * most_s) << layer_count << " layers, " << stretch;
    }
  }
}

// A little more than the time there is in each of two steps does not make three.
TEST(ChunkSizer, TakesTheStepsItCutAChunkForThoughPredictionsMove) {
  const StepTimeModel model = taught();
  PlanSetup setup;
  setup.add_decode();
  setup.config.layer_count = 30;
  setup.config.max_itl_stretch = 2.0;  // 20 ms more
  ChunkSizer sizer(*setup.plan, model, 0, setup.config);
  sizer.spend(0, 41);
  EXPECT_EQ(sizer.layers_of(30), 15);
  EXPECT_EQ(sizer.layers_of(15), 15);
}

TEST(ChunkSizer, CarriesThroughOneLayerAtLeast) {
  const StepTimeModel model = taught();
  PlanSetup setup(ServiceClass::kInteractive);
  setup.add_decode();
  setup.config.targets[0].tpot_s = 0.001;  // cannot be kept: 5 ms are prefill's
  setup.config.layer_count = 2;
  ChunkSizer sizer(*setup.plan, model, 0, setup.config);
  const int tokens = sizer.limit(0);
  EXPECT_NEAR(tokens, 10, 1) << "5 ms a layer";
  sizer.spend(0, 60);
  EXPECT_EQ(sizer.layers_of(2), 1);
}

TEST(ChunkSizer, DoesNotCarryWhatAStepHasTimeFor) {
  const StepTimeModel model = taught();
  PlanSetup setup;
  setup.add_decode();
  setup.config.max_itl_stretch = 6.0;  // 100 ms more
  setup.config.layer_count = 20;
  ChunkSizer sizer(*setup.plan, model, 0, setup.config);
  const int tokens = sizer.limit(0);
  EXPECT_NEAR(tokens, 100, 3);
  sizer.spend(0, tokens);
  EXPECT_EQ(sizer.layers_of(20), 20);
}

TEST(ChunkSizer, CarriesByPartsBeforeItKnowsEnough) {
  const StepTimeModel model;
  PlanSetup setup;
  setup.add_decode();
  setup.config.layer_count = 20;
  ChunkSizer sizer(*setup.plan, model, 0, setup.config);
  sizer.spend(0, sizer.limit(0));
  EXPECT_EQ(sizer.layers_of(20), 20 / ChunkSizer::kUnlearnedParts);
  const ChunkSizer alone(StepPlan(setup.config), model, 0, setup.config);
  EXPECT_EQ(alone.layers_of(20), 20) << "nobody decodes";
}

TEST(ChunkSizer, CarriesNothingBeforeItKnowsEnoughWhenMoreWaitThanRun) {
  const StepTimeModel model;
  PlanSetup setup;
  setup.add_decode();
  setup.config.layer_count = 20;
  setup.config.targets[1].tpot_s = 0.5;
  ChunkSizer sizer(*setup.plan, model, 2, setup.config);
  EXPECT_EQ(sizer.limit(0), ChunkSizer::kUnlearnedTokens);
  sizer.spend(0, ChunkSizer::kUnlearnedTokens);
  EXPECT_EQ(sizer.layers_of(20), 20);
  EXPECT_FALSE(sizer.needs_more_steps());
}

TEST(ChunkSizer, SpendsTheTimeThereIs) {
  const StepTimeModel model = taught();
  PlanSetup setup;
  setup.add_decode();
  setup.config.max_itl_stretch = 6.0;  // 100 ms more
  ChunkSizer sizer(*setup.plan, model, 0, setup.config);
  const int whole = sizer.limit(0);
  sizer.spend(0, whole / 2);
  EXPECT_NEAR(sizer.limit(0), whole - whole / 2, 2);
}

TEST(ChunkSizer, TakesNoPrefillInAMeasuringStep) {
  StepTimeModel model = taught();
  PlanSetup setup;
  setup.add_decode();
  for (int i = 0; i < StepTimeModel::kProbeSteps; ++i)
    model.learn({.decode_rows = 1, .prefill_tokens = 10, .prefill_reads = 100}, 0.03);
  EXPECT_EQ(ChunkSizer(*setup.plan, model, 0, setup.config).limit(0), 0);
  EXPECT_EQ(ChunkSizer(*setup.plan, model, 0, setup.config).layers_of(1), 0);
  setup.config.max_itl_stretch = 0.0;
  EXPECT_EQ(ChunkSizer(*setup.plan, model, 0, setup.config).limit(0), INT_MAX)
      << "no rule, no measure";
}

TEST(ChunkSizer, DoesNotHoldBackForBatchStreamsWithoutATarget) {
  const StepTimeModel model = taught();
  PlanSetup setup(ServiceClass::kBatch);
  setup.add_decode();
  EXPECT_EQ(ChunkSizer(*setup.plan, model, 0, setup.config).limit(0), INT_MAX);
  setup.config.targets[2].tpot_s = 0.05;
  EXPECT_LT(ChunkSizer(*setup.plan, model, 0, setup.config).limit(0), 100);
}

}  // namespace
}  // namespace inferno::schedule
