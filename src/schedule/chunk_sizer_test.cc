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
    model.learn({.decode_rows = i % 7, .prefill_tokens = 0, .decode_kv_read = i * 37 % 1000}, 0.02);
    const int tokens = 10 + i * 13 % 90;
    model.learn({.decode_rows = i % 5, .prefill_tokens = tokens, .decode_kv_read = i * 53 % 1000},
                0.02 + 0.001 * tokens);
  }
  model.learn({.decode_rows = 1, .prefill_tokens = 0, .decode_kv_read = 10}, 0.02);
  return model;
}

struct World {
  explicit World(std::optional<ServiceClass> service_class = std::nullopt)
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
  World world;
  const ChunkSizer sizer(*world.plan, model, 0, world.config);
  EXPECT_FALSE(sizer.is_limited());
  EXPECT_EQ(sizer.limit(0), INT_MAX);
}

TEST(ChunkSizer, LetsLittleThroughBeforeItKnowsEnough) {
  const StepTimeModel model;
  World world;
  world.add_decode();
  EXPECT_EQ(ChunkSizer(*world.plan, model, 0, world.config).limit(0), ChunkSizer::kUnlearnedTokens);
}

TEST(ChunkSizer, KeepsTheStretch) {
  const StepTimeModel model = taught();
  World world;
  world.add_decode();
  world.config.max_itl_stretch = 3.0;  // 40 ms on top of 20 ms
  EXPECT_NEAR(ChunkSizer(*world.plan, model, 0, world.config).limit(0), 40, 2);
}

TEST(ChunkSizer, GivesUpTheStretchWhenMoreWaitThanRun) {
  const StepTimeModel model = taught();
  World world;
  world.add_decode();
  EXPECT_EQ(ChunkSizer(*world.plan, model, 1, world.config).limit(0), INT_MAX);
  world.config.targets[1].tpot_s = 0.1;
  const double left_s = 0.1 * ChunkSizer::kTargetShare - 0.02;
  EXPECT_NEAR(ChunkSizer(*world.plan, model, 1, world.config).limit(0), left_s / 0.001, 2);
}

TEST(ChunkSizer, KeepsTheStricterTargetOfTheClass) {
  const StepTimeModel model = taught();
  World world(ServiceClass::kInteractive);
  world.add_decode();
  world.config.max_itl_stretch = 3.0;
  world.config.targets[0].tpot_s = 0.06;
  const double left_s = 0.06 * ChunkSizer::kTargetShare - 0.02;
  EXPECT_NEAR(ChunkSizer(*world.plan, model, 0, world.config).limit(0), left_s / 0.001, 2);
}

TEST(ChunkSizer, LetsALeastNumberOfTokensThroughInAll) {
  const StepTimeModel model = taught();
  World world(ServiceClass::kInteractive);
  world.add_decode();
  world.config.targets[0].tpot_s = 0.001;  // cannot be kept at all
  ChunkSizer sizer(*world.plan, model, 0, world.config);
  EXPECT_EQ(sizer.limit(0), ChunkSizer::kLeastTokens);
  sizer.spend(0, 10);
  EXPECT_EQ(sizer.limit(500), ChunkSizer::kLeastTokens - 10);
  sizer.spend(500, ChunkSizer::kLeastTokens - 10);
  EXPECT_EQ(sizer.limit(0), 0);
}

TEST(ChunkSizer, SpendsTheTimeThereIs) {
  const StepTimeModel model = taught();
  World world;
  world.add_decode();
  world.config.max_itl_stretch = 6.0;  // 100 ms more
  ChunkSizer sizer(*world.plan, model, 0, world.config);
  const int whole = sizer.limit(0);
  sizer.spend(0, whole / 2);
  EXPECT_NEAR(sizer.limit(0), whole - whole / 2, 2);
}

TEST(ChunkSizer, TakesNoPrefillInAMeasuringStep) {
  StepTimeModel model = taught();
  World world;
  world.add_decode();
  for (int i = 0; i < StepTimeModel::kProbeSteps; ++i)
    model.learn({.decode_rows = 1, .prefill_tokens = 10, .decode_kv_read = 100}, 0.03);
  EXPECT_EQ(ChunkSizer(*world.plan, model, 0, world.config).limit(0), 0);
  world.config.max_itl_stretch = 0.0;
  EXPECT_EQ(ChunkSizer(*world.plan, model, 0, world.config).limit(0), INT_MAX)
      << "no rule, no measure";
}

TEST(ChunkSizer, DoesNotHoldBackForBatchStreamsWithoutATarget) {
  const StepTimeModel model = taught();
  World world(ServiceClass::kBatch);
  world.add_decode();
  EXPECT_EQ(ChunkSizer(*world.plan, model, 0, world.config).limit(0), INT_MAX);
  world.config.targets[2].tpot_s = 0.05;
  EXPECT_LT(ChunkSizer(*world.plan, model, 0, world.config).limit(0), 100);
}

}  // namespace
}  // namespace inferno::schedule
