#include "load/report.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <limits>

namespace inferno::load {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;
using ::testing::Not;

RequestRecord completed(int class_index, int client_index) {
  RequestRecord record;
  record.outcome = Outcome::kCompleted;
  record.status = 200;
  record.class_index = class_index;
  record.client_index = client_index;
  record.answer.first_s = 0.25;
  record.answer.last_s = 0.75;
  record.answer.gaps_s = {0.25f, 0.25f};
  record.answer.chunk_count = 3;
  record.answer.prompt_tokens = 10;
  record.answer.completion_tokens = 3;
  return record;
}

class ReportTest : public ::testing::Test {
 protected:
  ReportTest() {
    records_ = {completed(0, 0), completed(1, 1)};
    RequestRecord rejected;
    rejected.outcome = Outcome::kRejected;
    rejected.status = 429;
    rejected.error = "queue is full";
    rejected.class_index = 1;
    records_.push_back(rejected);
    run_.figures.duration_s = 2.0;
    options_.request_rate = std::numeric_limits<double>::infinity();
    options_.model = "m";
  }
  std::string table() {
    run_.records = records_;
    return table_of(run_, options_);
  }
  json::object object() {
    run_.records = records_;
    return json_of(run_, options_);
  }

  std::vector<RequestRecord> records_;
  RunResult run_;
  ReportOptions options_;
};

TEST_F(ReportTest, TableHasVllmsLines) {
  const std::string text = table();
  EXPECT_THAT(text, HasSubstr("============ Serving Benchmark Result ============\n"));
  EXPECT_THAT(text, HasSubstr("Successful requests:                     2         \n"));
  EXPECT_THAT(text, HasSubstr("Failed requests:                         1         \n"));
  EXPECT_THAT(text, HasSubstr("Benchmark duration (s):                  2.00      \n"));
  EXPECT_THAT(text, HasSubstr("Request throughput (req/s):              1.00      \n"));
  EXPECT_THAT(text, HasSubstr("Output token throughput (tok/s):         3.00      \n"));
  EXPECT_THAT(text, HasSubstr("---------------Time to First Token----------------\n"));
  EXPECT_THAT(text, HasSubstr("P99 TTFT (ms):                           250.00    \n"));
  EXPECT_THAT(text, HasSubstr("Mean TPOT (ms):                          250.00    \n"));
  EXPECT_THAT(text, Not(HasSubstr("E2EL (ms)")));
  EXPECT_THAT(text, HasSubstr("1 x HTTP 429 (rejected): queue is full\n"));
}

TEST_F(ReportTest, TableHasARowForEachClassAndClient) {
  run_.figures.classes = {"interactive", "batch"};
  run_.clients = {"client-0", "client-1"};
  run_.figures.targets = {*parse_target("ttft:300")};
  const std::string text = table();
  EXPECT_THAT(text, HasSubstr("\ninteractive           1      1      0     0  100.0"));
  EXPECT_THAT(text, HasSubstr("\nbatch                 2      1      1     1   50.0"));
  EXPECT_THAT(text, HasSubstr("\nclient-1 "));
  EXPECT_THAT(text, HasSubstr("Request goodput (req/s):                 1.00"));
}

TEST_F(ReportTest, JsonHasVllmsFields) {
  const json::object out = object();
  for (const char* name : {"date",
                           "endpoint_type",
                           "model_id",
                           "num_prompts",
                           "request_rate",
                           "burstiness",
                           "max_concurrency",
                           "duration",
                           "completed",
                           "total_input_tokens",
                           "total_output_tokens",
                           "request_throughput",
                           "request_goodput",
                           "output_throughput",
                           "total_token_throughput",
                           "mean_ttft_ms",
                           "median_ttft_ms",
                           "std_ttft_ms",
                           "p99_ttft_ms",
                           "mean_tpot_ms",
                           "mean_itl_ms",
                           "p99_itl_ms"}) {
    EXPECT_TRUE(out.contains(name)) << name;
  }
  EXPECT_EQ(out.at("request_rate"), "inf");
  EXPECT_EQ(out.at("max_concurrency"), nullptr);
  EXPECT_EQ(out.at("num_prompts"), 3);
  EXPECT_EQ(out.at("total_token_throughput"), 13.0);
  EXPECT_EQ(out.at("failures").at("HTTP 429 (rejected)").at("count"), 1);
  EXPECT_FALSE(out.contains("ttfts"));
  EXPECT_FALSE(out.contains("classes"));
}

TEST_F(ReportTest, JsonListsRequestsOnDemand) {
  options_.is_detailed = true;
  options_.metadata = {{"branch", "x"}};
  run_.figures.classes = {"interactive", "batch"};
  const json::object out = object();
  EXPECT_EQ(out.at("ttfts").as_array().size(), 3U);
  EXPECT_EQ(out.at("itls").at(0), (json::array{0.25, 0.25}));
  EXPECT_EQ(out.at("errors").at(2), "queue is full");
  EXPECT_EQ(out.at("branch"), "x");
  EXPECT_EQ(out.at("classes").at("batch").at("completed"), 1);
  EXPECT_EQ(out.at("classes").at("batch").at("mean_e2el_ms"), 750.0);
}

}  // namespace
}  // namespace inferno::load
