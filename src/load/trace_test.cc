#include "load/trace.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/conformance_data.h"

namespace inferno::load {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kMooncake =
    "{\"timestamp\": 1000, \"input_length\": 1100, \"output_length\": 40, \"hash_ids\": [0, 1, "
    "2]}\n"
    "{\"timestamp\": 3500, \"input_length\": 1024, \"output_length\": 10, \"hash_ids\": [0, "
    "9]}\r\n";

constexpr std::string_view kAzure =
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 23:59:59.5000000,374,44\n"
    "2023-11-17 00:00:01.7500000,396,109\n";

Result<std::vector<TraceRow>> parse(std::string_view text) {
  return parse_trace("t", text);
}

std::string shared_trace(const std::string& name) {
  const auto path = conformance_data("traces") / name;
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Trace, ReadsMooncakeRows) {
  const auto rows = parse(kMooncake);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 2U);
  EXPECT_EQ((*rows)[0].at_s, 0.0);
  EXPECT_EQ((*rows)[0].input_tokens, 1100);
  EXPECT_EQ((*rows)[0].output_tokens, 40);
  EXPECT_THAT((*rows)[0].hash_ids, ElementsAre(0, 1, 2));
  EXPECT_EQ((*rows)[1].at_s, 2.5);
}

TEST(Trace, ReadsAzureRowsAcrossMidnight) {
  const auto rows = parse(kAzure);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 2U);
  EXPECT_NEAR((*rows)[1].at_s, 2.25, 1e-6);
  EXPECT_EQ((*rows)[1].input_tokens, 396);
  EXPECT_EQ((*rows)[1].output_tokens, 109);
  EXPECT_TRUE((*rows)[1].hash_ids.empty());
}

TEST(Trace, PutsRowsInOrderOfTime) {
  const auto rows = parse(
      "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:05,1,1\n"
      "2023-11-16 18:00:02,2,1\n2023-11-16 18:00:05,3,1\n");
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ((*rows)[0].input_tokens, 2);
  EXPECT_EQ((*rows)[1].input_tokens, 1);
  EXPECT_EQ((*rows)[2].input_tokens, 3);
  EXPECT_EQ((*rows)[0].at_s, 0.0);
  EXPECT_EQ((*rows)[2].at_s, 3.0);
}

TEST(Trace, NamesTheLineThatIsWrong) {
  const std::string head = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  for (const std::string& text :
       {std::string("x"), head + "2023-11-16 18:15:46,1", head + "2023-11-16 18:15:46,1,2,3",
        head + "yesterday,1,2", head + "2023-13-16 18:15:46,1,2", head + "2023-11-16 18:15:46,-1,2",
        head + "2023-11-16 18:15:46,1,99999999999", std::string("{"), std::string("{}"),
        std::string(R"({"timestamp": -1, "input_length": 1, "output_length": 1})"),
        std::string(R"({"timestamp": 1, "input_length": 1.5, "output_length": 1})"),
        std::string(R"({"timestamp": 1, "input_length": 1e18, "output_length": 1})"),
        std::string(R"({"timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": 1})"),
        std::string(R"({"timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": [-1]})"),
        std::string(
            R"({"timestamp": 1, "input_length": 513, "output_length": 1, "hash_ids": [1]})")}) {
    const auto rows = parse(text);
    ASSERT_FALSE(rows) << text;
    EXPECT_EQ(rows.error().fault, Fault::kCorrupt);
    EXPECT_THAT(rows.error().message, HasSubstr("t line ")) << text;
  }
  EXPECT_FALSE(parse(""));
  EXPECT_FALSE(parse(head));
}

TEST(Trace, EqualHashIdsBecomeEqualSegments) {
  const auto plan = trace_conversations(*parse(kMooncake), {});
  ASSERT_EQ(plan.size(), 2U);
  const auto& first = plan[0].turns[0].segments;
  ASSERT_EQ(first.size(), 3U);
  EXPECT_EQ(first[0].stream, plan[1].turns[0].segments[0].stream);
  EXPECT_EQ(first[0].token_count, 512);
  EXPECT_EQ(first[2].token_count, 1100 - 1024);
  EXPECT_EQ(plan[0].turns[0].output_tokens, 40);
  EXPECT_DOUBLE_EQ(shared_prefix_share(plan).tokens, 512.0 / (1100 + 1024));
  EXPECT_DOUBLE_EQ(shared_prefix_share(plan).segments, 1.0 / 5.0);
}

TEST(Trace, RowsWithoutHashIdsShareNothing) {
  const auto plan = trace_conversations(*parse(kAzure), {});
  EXPECT_NE(plan[0].turns[0].segments[0].stream, plan[1].turns[0].segments[0].stream);
  EXPECT_EQ(shared_prefix_share(plan).tokens, 0.0);
}

TEST(Trace, ScalesTimesAndLengthsInProportion) {
  const auto plan = trace_conversations(
      *parse(kMooncake), {.time = 0.1, .max_input_tokens = 110, .max_output_tokens = 20});
  EXPECT_DOUBLE_EQ(plan[1].at_s, 0.25);
  EXPECT_EQ(token_count(plan[0].turns[0].segments), 110);
  EXPECT_EQ(token_count(plan[1].turns[0].segments), 102);
  EXPECT_EQ(plan[0].turns[0].output_tokens, 20);
  EXPECT_EQ(plan[1].turns[0].output_tokens, 5);
  // Block boundaries moved alike in both prompts.
  EXPECT_EQ(plan[0].turns[0].segments[0].token_count, plan[1].turns[0].segments[0].token_count);
}

TEST(Trace, NeverShrinksToNothingAndNeverGrows) {
  const auto rows = parse(kMooncake);
  const auto tiny =
      trace_conversations(*rows, {.time = 1.0, .max_input_tokens = 1, .max_output_tokens = 1});
  EXPECT_EQ(token_count(tiny[1].turns[0].segments), 1);
  EXPECT_EQ(tiny[1].turns[0].output_tokens, 1);
  const auto large = trace_conversations(
      *rows, {.time = 1.0, .max_input_tokens = 9000, .max_output_tokens = 9000});
  EXPECT_EQ(token_count(large[0].turns[0].segments), 1100);
}

TEST(Trace, MooncakesConversationTraceIsWhatItsPublishersSay) {
  const std::string text = shared_trace("mooncake_conversation.jsonl");
  if (text.empty()) GTEST_SKIP() << "no traces beside the tree";
  const auto rows = parse(text);
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(rows->size(), 12'031U);
  EXPECT_NEAR(rows->back().at_s, 3537.0, 1.0);
  const auto plan = trace_conversations(*rows, {});
  // The published hit rate counts a begun block like a full one.
  EXPECT_NEAR(shared_prefix_share(plan).segments, 0.3664, 0.00005);
  EXPECT_NEAR(shared_prefix_share(plan).tokens, 0.3736, 0.00005);
  const auto small =
      trace_conversations(*rows, {.time = 1.0, .max_input_tokens = 4096, .max_output_tokens = 256});
  EXPECT_NEAR(shared_prefix_share(small).tokens, 0.3736, 0.005);
}

TEST(Trace, AzuresConversationTraceIsWhatItsPublishersSay) {
  const std::string text = shared_trace("azure_2023_conv.csv");
  if (text.empty()) GTEST_SKIP() << "no traces beside the tree";
  const auto rows = parse(text);
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(rows->size(), 19'366U);
  double input = 0.0;
  double output = 0.0;
  for (const TraceRow& row : *rows) {
    input += row.input_tokens;
    output += row.output_tokens;
  }
  EXPECT_NEAR(input / 19'366, 1154.7, 0.05);
  EXPECT_NEAR(output / 19'366, 211.1, 0.05);
}

}  // namespace
}  // namespace inferno::load
