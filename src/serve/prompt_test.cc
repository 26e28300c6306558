#include "serve/prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serve/fake_generator.h"
#include "token/chat_template.h"

namespace inferno::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PromptTest : public ::testing::Test {
 protected:
  PromptTest() {
    model_.names = {"m"};
    model_.tokenizer = tokenizer_.get();
    model_.generator = &generator_;
  }

  ModelEntry entry() { return ModelEntry(model_, registry_); }

  // A chat call with one message and a template that shows contents in brackets.
  Result<Prompt> chat(const std::string& source, const std::string& fields,
                      const std::string& content = " so far ") {
    auto parsed = token::ChatTemplate::parse(source, "", "");
    EXPECT_TRUE(parsed) << parsed.error().message;
    model_.chat_template = &*parsed;
    const auto body = parse_json_object(R"({"messages": [{"role": "assistant", "content": ")" +
                                        content + "\"}]" + fields + "}");
    const ModelEntry made = entry();
    auto call = read_chat_call(*body, made.limits);
    EXPECT_TRUE(call) << call.error().message;
    return chat_prompt(made, *call);
  }

  std::unique_ptr<token::Tokenizer> tokenizer_ = make_byte_tokenizer();
  FakeGenerator generator_;
  MetricRegistry registry_;
  ServedModel model_;
};

TEST_F(PromptTest, TheModelsOwnMaxTokensIsTheDefaultAndShrinksToFit) {
  model_.default_max_tokens = 150;
  CompletionCall call;
  EXPECT_EQ(completion_prompt(entry(), call, std::string(10, 'x'))->max_tokens, 150);
  EXPECT_EQ(completion_prompt(entry(), call, std::string(100, 'x'))->max_tokens, 100);
}

TEST_F(PromptTest, APromptThatLeavesNoRoomIsRefused) {
  CompletionCall call;
  EXPECT_EQ(completion_prompt(entry(), call, std::string(199, 'x'))->max_tokens, 1);
  const auto refused = completion_prompt(entry(), call, std::string(200, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::kTooLong);
  EXPECT_EQ(refused.error().param, "prompt");
}

TEST_F(PromptTest, TruncationLeavesRoomForTheAnswer) {
  CompletionCall call;
  call.call.truncate_prompt_tokens = -1;
  EXPECT_EQ(completion_prompt(entry(), call, std::string(500, 'x'))->tokens.size(), 199u);
  call.call.max_tokens = 50;
  EXPECT_EQ(completion_prompt(entry(), call, std::string(500, 'x'))->tokens.size(), 150u);
}

TEST_F(PromptTest, ContinuingCutsBehindTheLastContentEvenWhenTheTemplateTrimsIt) {
  const std::string fields = R"(, "continue_final_message": true)";
  EXPECT_EQ(chat("[{{ messages[0].content }}]", fields)->text, "[ so far ");
  EXPECT_EQ(chat("[{{ messages[0].content.rstrip() }}]", fields)->text, "[ so far");
  const auto hidden = chat("[nothing]", fields);
  ASSERT_FALSE(hidden);
  EXPECT_EQ(hidden.error().param, "continue_final_message");
}

TEST_F(PromptTest, ContinuingCutsBehindTheContentWhereItsTextOccursAgain) {
  const std::string fields = R"(, "continue_final_message": true)";
  EXPECT_EQ(chat("<s>{{ messages[0].content }}<end>", fields, "<")->text, "<s><");
  EXPECT_EQ(
      chat("{{ messages[0].content | trim }}:{{ messages[0].content | trim }} <end>", fields, "ab ")
          ->text,
      "ab:ab");
  EXPECT_EQ(chat("<s>{{ messages[0].content }}<end>", fields, "")->text, "<s>");
}

TEST_F(PromptTest, ATextOfAbsurdLengthIsRefusedEvenIfItWouldBeTruncated) {
  CompletionCall call;
  call.call.truncate_prompt_tokens = 10;
  EXPECT_EQ(completion_prompt(entry(), call, std::string(65536, 'x'))->tokens.size(), 10u);
  const auto refused = completion_prompt(entry(), call, std::string(65537, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::kTooLong);
  EXPECT_THAT(refused.error().message, HasSubstr("at most 65536"));
}

TEST_F(PromptTest, EchoedTokensAreDecodedOnceTheyAreKnownToFit) {
  CompletionCall call;
  call.call.echo = true;
  call.call.truncate_prompt_tokens = 3;
  EXPECT_EQ(completion_prompt(entry(), call, std::vector<TokenId>(500, 'x'))->text, "xxx");
  call.call.truncate_prompt_tokens.reset();
  const auto refused = completion_prompt(entry(), call, std::vector<TokenId>(500, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::kTooLong);
}

TEST_F(PromptTest, TemplateVariablesReachTheTemplate) {
  const std::string fields = R"(, "chat_template_kwargs": {"mood": "calm"},
      "documents": [{"text": "d"}], "reasoning_effort": "low", "tools": [{"name": "t"}])";
  const auto prompt = chat(
      "{{ mood }} {{ documents[0].text }} {{ reasoning_effort }} "
      "{{ tools[0].name }} {{ add_generation_prompt }}",
      fields);
  ASSERT_TRUE(prompt) << prompt.error().message;
  EXPECT_EQ(prompt->text, "calm d low t True");
}

TEST_F(PromptTest, SpecialTokensOfTheTemplateAreParsed) {
  EXPECT_THAT(chat("<|start|>a", "")->tokens, ElementsAre(256, 'a'));
}

TEST_F(PromptTest, ABrokenTemplateIsTheRequestsError) {
  const auto broken = chat("{{ messages[0].content.no_such_method() }}", "");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().param, "messages");
  EXPECT_THAT(broken.error().message, HasSubstr("no_such_method"));
}

}  // namespace
}  // namespace inferno::serve
