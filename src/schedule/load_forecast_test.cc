#include "schedule/load_forecast.h"

#include <gtest/gtest.h>

#include "schedule/test_engine.h"

namespace inferno::schedule {
namespace {

using request::ServiceClass;

TEST(LoadForecast, PredictsNoWaitBeforeAnythingWasMeasured) {
  const LoadForecast forecast;
  EXPECT_EQ(predicted_ttft_s(forecast, 10'000, ServiceClass::kBatch), 0.0);
  EXPECT_EQ(retry_after_s(forecast), 1.0);
}

TEST(LoadForecast, AddsThePromptToTheWait) {
  LoadForecast forecast;
  forecast.start_s = {0.5, 1.0, 4.0};
  forecast.prefill_tokens_per_s = 1000.0;
  EXPECT_DOUBLE_EQ(predicted_ttft_s(forecast, 2000, ServiceClass::kInteractive), 2.5);
  EXPECT_DOUBLE_EQ(predicted_ttft_s(forecast, 2000, ServiceClass::kBatch), 6.0);
}

TEST(RetryAfter, IsWhenTheQueueWillHaveDrained) {
  LoadForecast forecast;
  forecast.queued_requests = 60;
  forecast.finished_per_s = 4.0;
  EXPECT_DOUBLE_EQ(retry_after_s(forecast), 15.0);
  forecast.queued_tokens = 100'000;
  forecast.tokens_per_s = 2000.0;
  EXPECT_DOUBLE_EQ(retry_after_s(forecast), 50.0) << "few requests, but long ones";
  forecast.finished_per_s = 1e-6;
  EXPECT_DOUBLE_EQ(retry_after_s(forecast), 600.0);
}

TEST(LoadForecast, ExpectsTheUsualAnswerWithinTheRequestsLimits) {
  LoadForecast forecast;
  const auto expected = [&](int least, int most) {
    return expected_answer_tokens(forecast, ServiceClass::kStandard, {least, most});
  };
  EXPECT_EQ(expected(0, 1000), 1) << "nothing is known";
  EXPECT_EQ(expected(7, 1000), 7);
  forecast.answer_tokens[1] = 40.0;
  EXPECT_EQ(expected(0, 1000), 40);
  EXPECT_EQ(expected(0, 20), 20);
  EXPECT_EQ(expected(60, 1000), 60);
}

TEST(LoadForecast, HopesThatAnswersTakeHalfOfWhatStepsTakeNow) {
  LoadForecast forecast;
  EXPECT_EQ(least_answer_s(forecast, 101), 0.0);
  forecast.decode_step_s = 0.02;
  EXPECT_DOUBLE_EQ(least_answer_s(forecast, 101), 1.0);
  EXPECT_EQ(least_answer_s(forecast, 1), 0.0);
}

// Standard requests that keep four places taken for a while.
void saturate(TestEngine& engine) {
  for (int i = 0; i < 60; ++i) {
    TestRequest request = request_of(100, 30);
    request.traits.service_class = ServiceClass::kStandard;
    engine.submit(request);
  }
  for (int i = 0; i < 200 && !engine.scheduler().idle(); ++i)
    engine.step();
}

TEST(SchedulerForecast, IsWithinAThirdOfWhatHappens) {
  SchedulerConfig config;
  config.max_num_seqs = 4;
  TestEngine engine(config, 200);
  saturate(engine);
  const LoadForecast forecast = engine.scheduler().forecast(engine.now());
  EXPECT_EQ(forecast.queued_requests,
            engine.scheduler().waiting_count() + engine.scheduler().deferred_count());
  EXPECT_EQ(forecast.running_requests, 4);
  const double predicted = predicted_ttft_s(forecast, 100, ServiceClass::kStandard);
  TestRequest request = request_of(100, 1);
  request.traits.service_class = ServiceClass::kStandard;
  const uint64_t id = engine.submit(request);
  while (engine.is_live(id))
    engine.step();
  EXPECT_NEAR(predicted, engine.result(id).ttft_s(), engine.result(id).ttft_s() / 3);
}

TEST(SchedulerForecast, CountsTheAnswersOfThoseWhoWaitAndNotWhatIsCached) {
  SchedulerConfig config;
  config.max_num_seqs = 1;
  TestEngine engine(config, 200);
  for (int i = 0; i < LengthModel::kTrusted; ++i)
    engine.submit(request_of(10, 30));
  engine.run_until_idle();
  TestRequest shared = request_of(161, 30);
  shared.first_token = 5'000'000;
  engine.submit(shared);
  engine.run_until_idle();
  engine.submit(request_of(10, 1000));  // runs
  engine.step();
  EXPECT_EQ(engine.scheduler().forecast(engine.now()).queued_tokens, 0);
  engine.submit(shared);  // 160 of its 161 tokens are in the cache, 30 are expected
  EXPECT_EQ(engine.scheduler().forecast(engine.now()).queued_tokens, 1 + 30);
  EXPECT_DOUBLE_EQ(engine.scheduler().forecast(engine.now()).answer_tokens[1], 30.0);
}

TEST(SchedulerForecast, LetsTheMoreUrgentClassStartSooner) {
  SchedulerConfig config;
  config.max_num_seqs = 4;
  TestEngine engine(config, 200);
  saturate(engine);
  const LoadForecast forecast = engine.scheduler().forecast(engine.now());
  EXPECT_LT(forecast.start_s[0], forecast.start_s[1]);
  EXPECT_LE(forecast.start_s[1], forecast.start_s[2]);
}

TEST(SchedulerForecast, IsOneForAllUnderFirstCome) {
  SchedulerConfig config;
  config.max_num_seqs = 4;
  config.policy = Policy::kFcfs;
  TestEngine engine(config, 200);
  saturate(engine);
  const LoadForecast forecast = engine.scheduler().forecast(engine.now());
  EXPECT_GT(forecast.start_s[0], 0.0);
  EXPECT_EQ(forecast.start_s[0], forecast.start_s[2]);
}

TEST(SchedulerForecast, OfAnIdleEngineIsNoWait) {
  SchedulerConfig config;
  TestEngine engine(config, 200);
  saturate(engine);
  engine.run_until_idle();
  const LoadForecast forecast = engine.scheduler().forecast(engine.now());
  EXPECT_EQ(forecast.start_s[2], 0.0);
  EXPECT_EQ(forecast.queued_requests, 0);
  EXPECT_GT(forecast.finished_per_s, 0.0) << "what was measured is kept";
}

}  // namespace
}  // namespace inferno::schedule
