#include "load/dataset.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

namespace inferno::load {
namespace {

using ::testing::HasSubstr;

std::vector<Conversation> made(const DatasetOptions& options, uint64_t seed = 1) {
  auto out = make_conversations(options, seed);
  EXPECT_TRUE(out) << out.error().message;
  return out ? *out : std::vector<Conversation>{};
}

std::string message_of(const DatasetOptions& options) {
  const auto out = make_conversations(options, 1);
  return out ? "" : out.error().message;
}

// A file that goes away with the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view text) {
    path_ = std::filesystem::temp_directory_path() /
            fmt::format("inferno-dataset-{}-{}", ::getpid(), static_cast<const void*>(this));
    std::ofstream(path_) << text;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

TEST(Dataset, IsKnownByName) {
  EXPECT_EQ(dataset_named("random"), DatasetKind::kRandom);
  EXPECT_EQ(dataset_named("multi-turn"), DatasetKind::kMultiTurn);
  const auto none = dataset_named("sharegpt");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("prefix_repetition"));
}

TEST(RandomDataset, LengthsAreUniformAroundTheMean) {
  DatasetOptions options;
  options.request_count = 4000;
  options.input_tokens = 100;
  options.output_tokens = 10;
  options.range_ratio = 0.25;
  const auto plan = made(options);
  ASSERT_EQ(plan.size(), 4000U);
  std::map<int, int> inputs;
  double sum = 0.0;
  for (const Conversation& conversation : plan) {
    ASSERT_EQ(conversation.turns.size(), 1U);
    ++inputs[token_count(conversation.turns[0].segments)];
    sum += token_count(conversation.turns[0].segments);
    EXPECT_GE(conversation.turns[0].output_tokens, 7);
    EXPECT_LE(conversation.turns[0].output_tokens, 13);
  }
  EXPECT_EQ(inputs.begin()->first, 75);
  EXPECT_EQ(inputs.rbegin()->first, 125);
  EXPECT_NEAR(sum / 4000, 100.0, 1.0);
}

TEST(RandomDataset, PromptsShareOnlyThePrefix) {
  DatasetOptions options;
  options.request_count = 3;
  options.prefix_tokens = 32;
  const auto plan = made(options);
  EXPECT_EQ(token_count(plan[0].shared), 32);
  EXPECT_EQ(plan[0].shared[0].stream, plan[2].shared[0].stream);
  EXPECT_NE(plan[0].turns[0].segments[0].stream, plan[1].turns[0].segments[0].stream);
  EXPECT_NE(plan[0].turns[0].segments[0].stream, plan[0].shared[0].stream);
}

TEST(PrefixRepetition, EachPrefixIsUsedEquallyOftenInRandomOrder) {
  DatasetOptions options;
  options.kind = DatasetKind::kPrefixRepetition;
  options.request_count = 50;
  options.repeated_prefix_count = 5;
  const auto plan = made(options);
  std::map<uint64_t, int> uses;
  std::vector<uint64_t> order;
  for (const Conversation& conversation : plan) {
    ASSERT_EQ(conversation.turns[0].segments.size(), 2U);
    order.push_back(conversation.turns[0].segments[0].stream);
    ++uses[order.back()];
  }
  EXPECT_EQ(uses.size(), 5U);
  for (const auto& [stream, count] : uses)
    EXPECT_EQ(count, 10) << stream;
  EXPECT_FALSE(std::ranges::is_sorted(order));
  EXPECT_EQ(made(options)[7].turns[0].segments[1].stream, plan[7].turns[0].segments[1].stream);
}

TEST(MultiTurn, CountsRequestsNotConversations) {
  DatasetOptions options;
  options.kind = DatasetKind::kMultiTurn;
  options.request_count = 10;
  options.turn_count = 4;
  options.mean_think_s = 2.0;
  const auto plan = made(options);
  ASSERT_EQ(plan.size(), 3U);
  EXPECT_EQ(plan[0].turns.size(), 4U);
  EXPECT_EQ(plan[2].turns.size(), 2U);
}

TEST(MultiTurn, ThinkTimesAreExponential) {
  DatasetOptions options;
  options.kind = DatasetKind::kMultiTurn;
  options.request_count = 20'000;
  options.mean_think_s = 2.0;
  double sum = 0.0;
  double squares = 0.0;
  for (const Conversation& conversation : made(options)) {
    for (const Turn& turn : conversation.turns) {
      sum += turn.think_s;
      squares += turn.think_s * turn.think_s;
    }
  }
  EXPECT_NEAR(sum / 20'000, 2.0, 0.05);
  EXPECT_NEAR(squares / 20'000, 8.0, 0.5);
}

TEST(PromptDataset, IsOneTextOverAndOver) {
  DatasetOptions options;
  options.kind = DatasetKind::kPrompt;
  options.prompt = "2+2?";
  options.prompt_output_tokens = 8;
  options.request_count = 5;
  const auto plan = made(options);
  ASSERT_EQ(plan.size(), 5U);
  EXPECT_EQ(plan[4].turns[0].text, "2+2?");
  EXPECT_EQ(plan[4].turns[0].output_tokens, 8);
}

TEST(CustomDataset, ReadsPromptsAndLengths) {
  const auto rows =
      parse_custom("t", "{\"prompt\": \"a\"}\r\n\n{\"prompt\": \"b\", \"output_tokens\": 3}\n", 16);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 2U);
  EXPECT_EQ((*rows)[0].turns[0].text, "a");
  EXPECT_EQ((*rows)[0].turns[0].output_tokens, 16);
  EXPECT_EQ((*rows)[1].turns[0].output_tokens, 3);
}

TEST(CustomDataset, NamesTheLineThatIsWrong) {
  for (const char* line : {"x", "[]", "{}", "{\"prompt\": 1}", "{\"prompt\": \"\"}",
                           "{\"prompt\": \"a\", \"output_tokens\": 0}",
                           "{\"prompt\": \"a\", \"output_tokens\": 1.5}"}) {
    const auto rows = parse_custom("t", std::string("{\"prompt\": \"a\"}\n") + line, 16);
    ASSERT_FALSE(rows) << line;
    EXPECT_THAT(rows.error().message, HasSubstr("t line 2")) << line;
  }
  EXPECT_FALSE(parse_custom("t", "\n", 16));
}

TEST(TraceDataset, TakesTheFirstRowsOfTheFile) {
  const TemporaryFile file(
      "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00,10,1\n"
      "2023-11-16 18:00:01,20,2\n2023-11-16 18:00:02,30,3\n");
  DatasetOptions options;
  options.kind = DatasetKind::kTrace;
  options.path = file.path();
  options.time_scale = 0.5;
  EXPECT_EQ(made(options).size(), 3U);
  options.request_count = 2;
  const auto plan = made(options);
  ASSERT_EQ(plan.size(), 2U);
  EXPECT_DOUBLE_EQ(plan[1].at_s, 0.5);
}

TEST(Dataset, SaysWhichOptionIsWrong) {
  DatasetOptions options;
  options.range_ratio = 1.0;
  EXPECT_THAT(message_of(options), HasSubstr("random-range-ratio is 1"));
  options = {};
  options.request_count = 0;
  EXPECT_THAT(message_of(options), HasSubstr("num-prompts is 0"));
  options = {};
  options.kind = DatasetKind::kPrompt;
  EXPECT_THAT(message_of(options), HasSubstr("prompt is empty"));
  options = {};
  options.kind = DatasetKind::kCustom;
  EXPECT_THAT(message_of(options), HasSubstr("dataset-path must name a file"));
  options.path = "no such file";
  EXPECT_THAT(message_of(options), HasSubstr("cannot read no such file"));
}

}  // namespace
}  // namespace inferno::load
