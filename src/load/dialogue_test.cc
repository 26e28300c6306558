#include "load/dialogue.h"

#include <gmock/gmock.h>

namespace inferno::load {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;

class DialogueTest : public ::testing::Test {
 protected:
  static Turn turn(uint64_t stream, int tokens) {
    Turn out;
    out.segments = {{stream, tokens}};
    return out;
  }
  static Turn literal(std::string text) {
    Turn out;
    out.text = std::move(text);
    return out;
  }
  static json::object body_of(const Dialogue& dialogue, RequestLabels labels = {}) {
    return json::parse(dialogue.body(8, labels)).as_object();
  }
  static json::array ids(std::vector<TokenId> tokens) {
    return json::array(tokens.begin(), tokens.end());
  }

  BodyOptions options_{.model = "m", .form = PromptForm::kTokenIds, .extra = {}};
  PromptSource source_{1, 1000};
};

TEST_F(DialogueTest, IsWhatBenchmarksOfTheFieldSend) {
  options_.ignore_eos = true;
  Dialogue dialogue(options_, source_, {});
  dialogue.ask(turn(1, 3));
  const json::object body = body_of(dialogue);
  EXPECT_EQ(body.at("model"), "m");
  EXPECT_EQ(body.at("max_tokens"), 8);
  EXPECT_EQ(body.at("stream"), true);
  EXPECT_EQ(body.at("stream_options").at("include_usage"), true);
  EXPECT_EQ(body.at("ignore_eos"), true);
  EXPECT_FALSE(body.contains("user"));
  EXPECT_FALSE(body.contains("service_class"));
  EXPECT_FALSE(body.contains("return_token_ids"));
  options_.wants_token_ids = true;
  EXPECT_EQ(body_of(dialogue).at("return_token_ids"), true);
}

TEST_F(DialogueTest, PromptsOfIdsHoldAllThatWasSaid) {
  Dialogue dialogue(options_, source_, {{9, 2}});
  dialogue.ask(turn(1, 3));
  AnswerRecord answer;
  answer.token_ids = {111, 222};
  EXPECT_TRUE(dialogue.hear(answer));
  dialogue.ask(turn(2, 1));
  std::vector<TokenId> expected;
  source_.append_tokens(std::vector<Segment>{{9, 2}, {1, 3}}, expected);
  expected.insert(expected.end(), {111, 222});
  source_.append_tokens(std::vector<Segment>{{2, 1}}, expected);
  EXPECT_EQ(body_of(dialogue).at("prompt"), ids(expected));
}

TEST_F(DialogueTest, NeedsTheIdsOfAnswers) {
  Dialogue dialogue(options_, source_, {});
  dialogue.ask(turn(1, 3));
  const auto heard = dialogue.hear({});
  ASSERT_FALSE(heard);
  EXPECT_THAT(heard.error().message, HasSubstr("--prompt-format text"));
}

TEST_F(DialogueTest, PromptsOfTextHoldAllThatWasSaid) {
  options_.form = PromptForm::kText;
  Dialogue dialogue(options_, source_, {});
  dialogue.ask(literal("2+2?"));
  AnswerRecord answer;
  answer.text = " 4";
  EXPECT_TRUE(dialogue.hear(answer));
  dialogue.ask(literal("3+3?"));
  EXPECT_EQ(body_of(dialogue).at("prompt"), "2+2? 4\n3+3?");
}

TEST_F(DialogueTest, ALiteralTextIsNeverSentAsIds) {
  Dialogue dialogue(options_, source_, {});
  dialogue.ask(literal("2+2?"));
  EXPECT_EQ(body_of(dialogue).at("prompt"), "2+2?");
}

TEST_F(DialogueTest, ChatsAreMessages) {
  options_.form = PromptForm::kMessages;
  Dialogue dialogue(options_, source_, {{9, 2}});
  dialogue.ask(literal("2+2?"));
  AnswerRecord answer;
  answer.text = "4";
  EXPECT_TRUE(dialogue.hear(answer));
  dialogue.ask(turn(1, 3));
  const json::object body = body_of(dialogue);
  const json::array& messages = body.at("messages").as_array();
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[0].at("role"), "system");
  EXPECT_EQ(messages[1].at("content"), "2+2?");
  EXPECT_EQ(messages[2].at("role"), "assistant");
  EXPECT_EQ(messages[2].at("content"), "4");
  EXPECT_EQ(messages[3].at("role"), "user");
  EXPECT_EQ(body.at("max_completion_tokens"), 8);
  EXPECT_FALSE(body.contains("prompt"));
}

TEST_F(DialogueTest, NamesClassAndClientAndLetsExtrasWin) {
  options_.extra = {{"temperature", 0}, {"user", "other"}};
  Dialogue dialogue(options_, source_, {});
  dialogue.ask(turn(1, 1));
  const json::object body = body_of(dialogue, {.service_class = "batch", .client = "client-3"});
  EXPECT_EQ(body.at("service_class"), "batch");
  EXPECT_EQ(body.at("user"), "other");
  EXPECT_EQ(body.at("temperature"), 0);
}

}  // namespace
}  // namespace inferno::load
