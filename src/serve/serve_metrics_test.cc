#include "serve/serve_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace inferno::serve {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class ServeMetricsTest : public ::testing::Test {
 protected:
  request::TokenEvent tokens(size_t count) {
    request::TokenEvent event;
    event.tokens.resize(count);
    return event;
  }

  MetricRegistry registry_;
  std::shared_ptr<const ServeMetrics> metrics_ =
      std::make_shared<const ServeMetrics>(make_serve_metrics(registry_, "m", 1000));
  std::chrono::steady_clock::time_point start_{};
};

TEST_F(ServeMetricsTest, TimesFirstTokenGapsAndEnd) {
  RequestMeter meter(metrics_, {.prompt_tokens = 10, .max_tokens = 50, .arrival = start_});
  meter.observe(tokens(1), start_ + 2s);
  meter.observe(tokens(1), start_ + 3s);
  request::TokenEvent last = tokens(2);
  last.finish = request::FinishReason::kStop;
  last.stats.cached_tokens = 4;
  last.stats.decode_s = 3.0;
  last.stats.prefill_s = 1.0;
  meter.observe(last, start_ + 5s);
  EXPECT_EQ(metrics_->time_to_first_token.sum(), 2.0);
  EXPECT_EQ(metrics_->inter_token_latency.count(), 2u);
  EXPECT_EQ(metrics_->inter_token_latency.sum(), 3.0);
  EXPECT_EQ(metrics_->e2e_latency.sum(), 5.0);
  EXPECT_EQ(metrics_->inference_time.sum(), 4.0);
  EXPECT_EQ(metrics_->time_per_output_token.sum(), 1.0);
  EXPECT_EQ(metrics_->prompt_tokens.value(), 10.0);
  EXPECT_EQ(metrics_->prompt_tokens_cached.value(), 4.0);
  EXPECT_EQ(metrics_->prompt_tokens_computed_here.value(), 6.0);
  EXPECT_EQ(metrics_->generation_tokens.value(), 4.0);
  EXPECT_EQ(metrics_->request_params_max_tokens.sum(), 50.0);
}

TEST_F(ServeMetricsTest, ARequestAbortedInTheQueueCountsOnlyAsAborted) {
  RequestMeter meter(metrics_, {.prompt_tokens = 10, .max_tokens = 50, .arrival = start_});
  request::TokenEvent last;
  last.finish = request::FinishReason::kAbort;
  meter.observe(last, start_ + 1s);
  EXPECT_EQ(metrics_->prompt_tokens.value(), 0.0);
  EXPECT_EQ(metrics_->queue_time.count(), 0u);
  EXPECT_EQ(metrics_->e2e_latency.count(), 1u);
  EXPECT_THAT(registry_.exposition(),
              HasSubstr("vllm:request_success_total{model_name=\"m\",engine=\"0\","
                        "finished_reason=\"abort\"} 1.0\n"));
}

TEST_F(ServeMetricsTest, ChoicesOfAPromptCountOnceWithTheLongest) {
  const auto choices = std::make_shared<ChoiceMeter>(metrics_, 2);
  request::TokenEvent last = tokens(3);
  last.finish = request::FinishReason::kStop;
  RequestMeter one(metrics_, {.arrival = start_, .choices = choices});
  one.observe(last, start_ + 1s);
  EXPECT_EQ(metrics_->request_params_n.count(), 0u);
  RequestMeter two(metrics_, {.arrival = start_, .choices = choices});
  two.observe(tokens(4), start_ + 1s);
  two.observe(last, start_ + 2s);
  EXPECT_EQ(metrics_->request_params_n.count(), 1u);
  EXPECT_EQ(metrics_->request_params_n.sum(), 2.0);
  EXPECT_EQ(metrics_->request_max_generation_tokens.count(), 1u);
  EXPECT_EQ(metrics_->request_max_generation_tokens.sum(), 7.0);
  EXPECT_EQ(metrics_->request_generation_tokens.count(), 2u);
}

class ClassMetricsTest : public ServeMetricsTest {
 protected:
  // Two tokens: the first after `ttft_s`, then the decode time.
  void run(std::optional<request::ServiceClass> service_class, int ttft_s, double decode_s) {
    RequestMeter meter(metrics_, {.service_class = service_class, .arrival = start_});
    request::TokenEvent last = tokens(2);
    last.finish = request::FinishReason::kLength;
    last.stats.decode_s = decode_s;
    meter.observe(last, start_ + std::chrono::seconds(ttft_s));
  }
  const ClassMetrics& of(request::ServiceClass service_class) const {
    return metrics_->classes[static_cast<size_t>(service_class)];
  }

  MetricRegistry own_;
};

TEST_F(ClassMetricsTest, TimesAndTargetsAreCountedByClass) {
  using enum request::ServiceClass;
  metrics_ = std::make_shared<const ServeMetrics>(make_serve_metrics(
      own_, "m", 1000, {SloTarget{2.0, 0.5}, SloTarget{10.0, 0.0}, SloTarget{HUGE_VAL, HUGE_VAL}}));
  run(kInteractive, 2, 0.5);
  run(kInteractive, 3, 0.6);
  run(std::nullopt, 9, 5.0);
  run(kBatch, 1000, 1000.0);
  EXPECT_EQ(of(kInteractive).ttft->count(), 2u);
  EXPECT_EQ(of(kInteractive).ttft->sum(), 5.0);
  EXPECT_EQ(of(kInteractive).tpot->count(), 2u);
  EXPECT_EQ(of(kInteractive).ttft_met->value(), 1.0);
  EXPECT_EQ(of(kInteractive).ttft_missed->value(), 1.0);
  EXPECT_EQ(of(kInteractive).tpot_met->value(), 1.0);
  EXPECT_EQ(of(kInteractive).tpot_missed->value(), 1.0);
  EXPECT_EQ(of(kStandard).ttft_met->value(), 1.0);
  EXPECT_EQ(of(kStandard).tpot_met->value() + of(kStandard).tpot_missed->value(), 0.0);
  EXPECT_EQ(of(kBatch).ttft_met->value() + of(kBatch).ttft_missed->value(), 0.0);
  EXPECT_THAT(own_.exposition(), HasSubstr("inferno:slo_missed_total{model_name=\"m\",engine=\"0\","
                                           "service_class=\"interactive\",target=\"ttft\"} 1.0\n"));
}

TEST_F(ClassMetricsTest, ADeadlineThatPassedInTheQueueMissesTheFirstToken) {
  using enum request::ServiceClass;
  metrics_ = std::make_shared<const ServeMetrics>(
      make_serve_metrics(own_, "m", 1000, {SloTarget{5.0, 0.0}, {}, {}}));
  request::TokenEvent late;
  late.finish = request::FinishReason::kError;
  late.error = Error{Fault::kDeadline, "too late", ""};
  RequestMeter meter(metrics_, {.service_class = kInteractive, .arrival = start_});
  meter.observe(late, start_ + 1s);
  EXPECT_EQ(of(kInteractive).ttft_missed->value(), 1.0);
  EXPECT_EQ(of(kInteractive).ttft->count(), 0u);
}

TEST_F(ServeMetricsTest, CarriesVllmsNames) {
  const std::string text = registry_.exposition();
  for (const char* name :
       {"prompt_tokens_total", "generation_tokens_total", "request_success_total",
        "request_prompt_tokens_bucket", "request_generation_tokens_bucket",
        "request_params_n_bucket", "request_params_max_tokens_bucket",
        "request_max_num_generation_tokens_bucket", "time_to_first_token_seconds_bucket",
        "inter_token_latency_seconds_bucket", "request_time_per_output_token_seconds_bucket",
        "e2e_request_latency_seconds_bucket", "request_queue_time_seconds_bucket",
        "request_inference_time_seconds_bucket", "request_prefill_time_seconds_bucket",
        "request_decode_time_seconds_bucket"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\nvllm:") + name + "{model_name=\"m\",engine=\"0\""));
  }
  EXPECT_THAT(text, HasSubstr("time_to_first_token_seconds_bucket{model_name=\"m\",engine=\"0\","
                              "le=\"2560.0\"}"));
}

}  // namespace
}  // namespace inferno::serve
