#include "app/bench_serve_options.h"

#include <gmock/gmock.h>

#include <cmath>

namespace inferno::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What the command line makes, or the error.
Result<Bench> parsed(std::vector<std::string> arguments) {
  CLI::App app;
  BenchServeOptions options;
  add_bench_serve_options(app, options);
  std::ranges::reverse(arguments);
  app.parse(arguments);
  return bench_of(options);
}

std::string refusal_of(std::vector<std::string> arguments) {
  const auto bench = parsed(std::move(arguments));
  return bench ? "" : bench.error().message;
}

TEST(BenchServeOptions, DefaultsAreVllms) {
  const auto bench = parsed({});
  ASSERT_TRUE(bench) << bench.error().message;
  EXPECT_EQ(bench->plan.conversations.size(), 1000U);
  EXPECT_EQ(load::token_count(bench->plan.conversations[0].turns[0].segments), 1024);
  EXPECT_EQ(bench->plan.conversations[0].turns[0].output_tokens, 128);
  EXPECT_EQ(bench->run.endpoint, "/v1/completions");
  EXPECT_EQ(bench->run.url.authority(), "127.0.0.1:8000");
  EXPECT_TRUE(std::isinf(bench->report.request_rate));
  EXPECT_THAT(bench->figures.percents, ElementsAre(99.0));
}

TEST(BenchServeOptions, AChatHasMessagesAndItsOwnEndpoint) {
  const auto bench = parsed({"--backend", "openai-chat", "--base-url", "http://h:1/x"});
  ASSERT_TRUE(bench) << bench.error().message;
  EXPECT_EQ(bench->run.api, load::Api::kChat);
  EXPECT_EQ(bench->run.endpoint, "/v1/chat/completions");
  EXPECT_EQ(bench->run.body.form, load::PromptForm::kMessages);
  EXPECT_EQ(bench->run.url.path, "/x");
  EXPECT_EQ(parsed({"--endpoint", "/v1/chat/completions"})->run.api, load::Api::kChat);
}

TEST(BenchServeOptions, APromptIsADataset) {
  const auto bench =
      parsed({"--prompt", "2+2?", "--output-len", "8", "--num-prompts", "3", "--seed", "5"});
  ASSERT_TRUE(bench) << bench.error().message;
  ASSERT_EQ(bench->plan.conversations.size(), 3U);
  EXPECT_EQ(bench->plan.conversations[0].turns[0].text, "2+2?");
  EXPECT_EQ(bench->plan.conversations[0].turns[0].output_tokens, 8);
  EXPECT_EQ(bench->run.seed, 5U);
}

TEST(BenchServeOptions, SamplingAndExtraFieldsGoIntoTheBody) {
  const auto bench = parsed({"--temperature", "0", "--top-k", "5", "--extra-body",
                             R"({"min_tokens": 3, "top_k": 6})", "--ignore-eos"});
  ASSERT_TRUE(bench) << bench.error().message;
  EXPECT_EQ(bench->run.body.extra.at("temperature"), 0.0);
  EXPECT_EQ(bench->run.body.extra.at("top_k"), 6);
  EXPECT_EQ(bench->run.body.extra.at("min_tokens"), 3);
  EXPECT_TRUE(bench->run.body.ignore_eos);
}

TEST(BenchServeOptions, TrafficAndTargets) {
  const auto bench = parsed({"--num-prompts", "20", "--request-rate", "4", "--mix", "a:1,b:3",
                             "--clients", "2", "--goodput", "ttft:200", "b.e2el:9000",
                             "--metric-percentiles", "50,99.9", "--percentile-metrics", "e2el"});
  ASSERT_TRUE(bench) << bench.error().message;
  EXPECT_EQ(bench->report.request_rate, 4.0);
  EXPECT_NEAR(bench->plan.conversations.back().at_s, 5.0, 1e-9);
  EXPECT_THAT(bench->figures.classes, ElementsAre("a", "b"));
  EXPECT_EQ(bench->plan.clients.size(), 2U);
  EXPECT_EQ(bench->figures.targets.size(), 2U);
  EXPECT_THAT(bench->figures.percents, ElementsAre(50.0, 99.9));
  EXPECT_THAT(bench->report.metrics, ElementsAre(load::Metric::kE2el));
}

TEST(BenchServeOptions, HeadersAndKey) {
  const auto bench = parsed({"--api-key", "k", "--header", "X-A=b=c", "--header", "X-B="});
  ASSERT_TRUE(bench) << bench.error().message;
  ASSERT_EQ(bench->run.headers.size(), 3U);
  EXPECT_EQ(bench->run.headers[0].value, "Bearer k");
  EXPECT_EQ(bench->run.headers[1].value, "b=c");
  EXPECT_EQ(bench->run.headers[2].value, "");
}

TEST(BenchServeOptions, SaysWhichOptionIsWrong) {
  EXPECT_THAT(refusal_of({"--base-url", "https://h"}), HasSubstr("TLS"));
  EXPECT_THAT(refusal_of({"--request-rate", "0"}), HasSubstr("request-rate is 0"));
  EXPECT_THAT(refusal_of({"--request-rate", "fast"}), HasSubstr("request-rate: 'fast'"));
  EXPECT_THAT(refusal_of({"--request-rate", "nan"}), HasSubstr("request-rate is nan"));
  EXPECT_THAT(refusal_of({"--extra-body", "[]"}), HasSubstr("extra-body"));
  EXPECT_THAT(refusal_of({"--header", "X"}), HasSubstr("NAME=VALUE"));
  EXPECT_THAT(refusal_of({"--header", "X Y=1"}), HasSubstr("header's name"));
  EXPECT_THAT(refusal_of({"--goodput", "itl:3"}), HasSubstr("goodput"));
  EXPECT_THAT(refusal_of({"--metric-percentiles", "101"}), HasSubstr("metric-percentiles"));
  EXPECT_THAT(refusal_of({"--percentile-metrics", "x"}), HasSubstr("percentile-metrics"));
  EXPECT_THAT(refusal_of({"--mix", "a:0"}), HasSubstr("mix"));
  EXPECT_THAT(refusal_of({"--dataset-name", "sonnet"}), HasSubstr("dataset-name"));
  EXPECT_THAT(refusal_of({"--dataset-name", "trace"}), HasSubstr("dataset-path"));
  EXPECT_THAT(refusal_of({"--endpoint", "v1"}), HasSubstr("endpoint 'v1'"));
  EXPECT_THAT(refusal_of({"--backend", "openai-chat", "--prompt-format", "ids"}),
              HasSubstr("messages, not ids"));
}

}  // namespace
}  // namespace inferno::app
