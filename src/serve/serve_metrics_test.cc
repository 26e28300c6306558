#include "serve/serve_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
