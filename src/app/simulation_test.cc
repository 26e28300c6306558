#include "app/simulation.h"

#include <gtest/gtest.h>

#include "load/traffic.h"

namespace inferno::app {
namespace {

load::Plan plan_of(int requests, double rate_per_s) {
  auto plan = load::make_plan({.kind = load::DatasetKind::kRandom,
                               .request_count = requests,
                               .input_tokens = 100,
                               .output_tokens = 20,
                               .range_ratio = 0.5},
                              {.rate_per_s = rate_per_s,
                               .mix = {{.name = "interactive"}, {.name = "batch"}},
                               .client_count = 2,
                               .seed = 3});
  EXPECT_TRUE(plan);
  return std::move(*plan);
}

SimulationOptions options_of(int pages) {
  return {.core = {.scheduler = {.max_num_seqs = 16, .max_num_batched_tokens = 128},
                   .max_model_len = 512,
                   .kv_page_count = pages}};
}

TEST(Simulation, AnswersEveryRequestAndKeepsNoPage) {
  const auto result = simulate(plan_of(500, 5.0), options_of(40));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->requests, 500);
  ASSERT_EQ(result->classes.size(), 2u);
  EXPECT_EQ(result->classes[0].requests + result->classes[1].requests, 500);
  EXPECT_GT(result->preemptions, 0);
  EXPECT_GT(result->generated_tokens, 500 * 9);
}

TEST(Simulation, TheSameSeedGivesTheSameHour) {
  const load::Plan plan = plan_of(200, 2.0);
  const auto first = simulate(plan, options_of(100));
  const auto second = simulate(plan, options_of(100));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->virtual_s, second->virtual_s);
  EXPECT_EQ(first->classes[0].ttft_p99_s, second->classes[0].ttft_p99_s);
}

TEST(Simulation, RepeatsAPlanWithOtherPrompts) {
  SimulationOptions options = options_of(100);
  options.repeats = 3;
  const auto result = simulate(plan_of(100, 2.0), options);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->requests, 300);
  EXPECT_EQ(result->hit_share, 0.0);
}

TEST(Simulation, RefusesWhatDoesNotFit) {
  const load::Plan plan = plan_of(10, 1.0);
  SimulationOptions options = options_of(100);
  options.core.max_model_len = 30;
  const auto too_long = simulate(plan, options);
  ASSERT_FALSE(too_long);
  EXPECT_NE(too_long.error().message.find("limit is 30"), std::string::npos);
  const auto too_few = simulate(plan, options_of(3));
  ASSERT_FALSE(too_few);
  EXPECT_EQ(too_few.error().param, "kv-pages");
  EXPECT_FALSE(simulate({}, options_of(100)));
}

}  // namespace
}  // namespace inferno::app
