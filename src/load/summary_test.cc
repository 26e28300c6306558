#include "load/summary.h"

#include <gmock/gmock.h>

namespace inferno::load {
namespace {

using ::testing::HasSubstr;

// Due at `due_s`, sent 10 ms later, first chunk after 100 ms, then a chunk each 20 ms.
RequestRecord completed_due_at(double due_s, int tokens) {
  RequestRecord record;
  record.outcome = Outcome::kCompleted;
  record.status = 200;
  record.due_s = due_s;
  record.sent_s = due_s + 0.01;
  record.answer.first_s = due_s + 0.1;
  record.answer.last_s = due_s + 0.1 + 0.02 * (tokens - 1);
  record.answer.gaps_s.assign(static_cast<size_t>(tokens - 1), 0.02f);
  record.answer.chunk_count = tokens;
  record.answer.prompt_tokens = 5;
  record.answer.completion_tokens = tokens;
  record.end_s = record.answer.last_s;
  return record;
}

RequestRecord failed(Outcome outcome, int status, std::string error) {
  RequestRecord record;
  record.outcome = outcome;
  record.status = status;
  record.error = std::move(error);
  return record;
}

Summary summary_of(const std::vector<RequestRecord>& records, SummaryOptions options = {}) {
  if (options.duration_s == 0.0) options.duration_s = 2.0;
  return summarize(std::span<const RequestRecord>(records), options);
}

TEST(Summary, HasTheMetricsOfHandMadeRecords) {
  const Summary s = summary_of({completed_due_at(0.0, 11), completed_due_at(0.5, 1)});
  EXPECT_EQ(s.completed_count, 2U);
  EXPECT_EQ(s.input_tokens, 10);
  EXPECT_EQ(s.output_tokens, 12);
  EXPECT_DOUBLE_EQ(s.per_second(static_cast<double>(s.output_tokens)), 6.0);
  EXPECT_NEAR(s.ttft_ms.mean, 100.0, 1e-9);
  EXPECT_NEAR(s.e2el_ms.mean, (300.0 + 100.0) / 2, 1e-9);
  EXPECT_NEAR(s.lag_ms.mean, 10.0, 1e-9);
  // One token has no time per further token and no gap.
  EXPECT_EQ(s.tpot_ms.count, 1U);
  EXPECT_NEAR(s.tpot_ms.mean, 20.0, 1e-9);
  EXPECT_EQ(s.itl_ms.count, 10U);
  EXPECT_NEAR(s.itl_ms.median, 20.0, 1e-5);
}

TEST(Summary, CountsOutcomesApart) {
  const Summary s =
      summary_of({completed_due_at(0.0, 2), failed(Outcome::kRejected, 429, "busy"),
                  failed(Outcome::kStatus, 400, "bad"), failed(Outcome::kUnfinished, 200, "")});
  EXPECT_EQ(s.request_count, 4U);
  EXPECT_EQ(s.completed_count, 1U);
  EXPECT_EQ(s.failed_count, 2U);
  EXPECT_EQ(s.rejected_count, 1U);
  EXPECT_EQ(s.unfinished_count, 1U);
}

TEST(Summary, PeaksAreOfTheFullestSecond) {
  // Chunks: 11 in second 0 (0.1 to 0.3), 11 in second 5, twice.
  const Summary s =
      summary_of({completed_due_at(0.0, 11), completed_due_at(5.0, 11), completed_due_at(5.1, 11)});
  EXPECT_EQ(s.peak_output_tokens_per_s, 22.0);
  EXPECT_EQ(s.peak_concurrent, 2);
}

TEST(Summary, OfNothingIsZero) {
  const Summary s = summary_of({});
  EXPECT_EQ(s.completed_count, 0U);
  EXPECT_EQ(s.ttft_ms.mean, 0.0);
  EXPECT_EQ(s.peak_concurrent, 0);
}

TEST(Goodput, NeedsEveryTarget) {
  SummaryOptions options;
  options.targets = {*parse_target("ttft:100.5"), *parse_target("e2el:250")};
  // E2EL 300 ms is too late, 100 ms is in time.
  EXPECT_EQ(summary_of({completed_due_at(0.0, 11), completed_due_at(0.0, 1)}, options).good_count,
            1U);
  options.targets[0].limit_ms = 50.0;
  EXPECT_EQ(summary_of({completed_due_at(0.0, 11), completed_due_at(0.0, 1)}, options).good_count,
            0U);
}

TEST(Goodput, TpotOfASingleTokenIsZero) {
  SummaryOptions options;
  options.targets = {*parse_target("tpot:1")};
  EXPECT_EQ(summary_of({completed_due_at(0.0, 1), completed_due_at(0.0, 2)}, options).good_count,
            1U);
}

TEST(Goodput, AClassesOwnTargetReplacesTheGeneralOne) {
  SummaryOptions options;
  options.classes = {"interactive", "batch"};
  options.targets = {*parse_target("ttft:50"), *parse_target("batch.ttft:1000")};
  RequestRecord batch = completed_due_at(0.0, 3);
  batch.class_index = 1;
  EXPECT_FALSE(is_good(completed_due_at(0.0, 3), options));
  EXPECT_TRUE(is_good(batch, options));
}

TEST(Goodput, WithoutTargetsEveryCompletedRequestIsGood) {
  EXPECT_TRUE(is_good(completed_due_at(0.0, 3), {}));
  EXPECT_FALSE(is_good(failed(Outcome::kBroken, 200, ""), {}));
}

TEST(Target, IsMetricAndMilliseconds) {
  const auto target = parse_target("interactive.tpot:50");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->service_class, "interactive");
  EXPECT_EQ(target->metric, Metric::kTpot);
  EXPECT_EQ(target->limit_ms, 50.0);
  for (const char* text :
       {"", "ttft", "ttft:", "ttft:x", "ttft:-1", "itl:5", "xyz:5", ".ttft:5", "ttft:5s"}) {
    const auto wrong = parse_target(text);
    ASSERT_FALSE(wrong) << text;
    EXPECT_THAT(wrong.error().message, HasSubstr("METRIC:MS"));
  }
}

TEST(Failures, AreGroupedWithTheFirstExample) {
  const std::vector<RequestRecord> records{
      completed_due_at(0.0, 2), failed(Outcome::kStatus, 400, "first"),
      failed(Outcome::kStatus, 400, "second"), failed(Outcome::kTimeout, 0, "late"),
      failed(Outcome::kUnfinished, 0, "")};
  const auto groups = failures_of(records);
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups.at("HTTP 400").count, 2U);
  EXPECT_EQ(groups.at("HTTP 400").example, "first");
  EXPECT_EQ(groups.at("timeout").example, "late");
}

TEST(Record, FallsBackToItsOwnCounts) {
  RequestRecord record;
  record.planned_input_tokens = 9;
  record.answer.text_chunk_count = 4;
  EXPECT_EQ(record.input_tokens(), 9);
  EXPECT_EQ(record.answer.output_tokens(), 4);
  record.answer.prompt_tokens = 10;
  record.answer.completion_tokens = 0;
  EXPECT_EQ(record.input_tokens(), 10);
  EXPECT_EQ(record.answer.output_tokens(), 0);
}

}  // namespace
}  // namespace inferno::load
