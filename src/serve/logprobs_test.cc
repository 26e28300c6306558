#include "serve/logprobs.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <limits>

#include "serve/fake_generator.h"

namespace inferno::serve {
namespace {

namespace json = boost::json;
using request::TokenOutput;

class Logprobs : public ::testing::Test {
 protected:
  std::unique_ptr<token::Tokenizer> tokenizer_ = make_byte_tokenizer();
  LogprobStyle style_{*tokenizer_, false};
};

TEST_F(Logprobs, OffsetsCountCharactersNotBytes) {
  CompletionLogprobs logprobs(style_);
  json::object out;
  // The two bytes of an e with acute accent: the text comes with the second.
  const std::vector<TokenOutput> outputs = {
      {0xC3, -1, 1, {}, ""}, {0xA9, -1, 1, {}, "\xC3\xA9"}, {'x', -1, 1, {}, "x"}};
  logprobs.add(out, outputs);
  EXPECT_EQ(json::serialize(out.at("text_offset")), "[0,0,1]");
  json::object next;
  logprobs.add(next, outputs);
  EXPECT_EQ(json::serialize(next.at("text_offset")), "[2,2,3]");
}

TEST_F(Logprobs, HalfACharacterIsSpelledAsReplacementAndKeepsItsBytes) {
  const std::vector<TokenOutput> outputs = {{0xC3, -1, 1, {}, ""}};
  const json::object out = chat_logprobs(style_, outputs);
  EXPECT_EQ(out.at("content").at(0).at("token"), "\xEF\xBF\xBD");
  EXPECT_EQ(json::serialize(out.at("content").at(0).at("bytes")), "[195]");
}

TEST_F(Logprobs, TheImpossibleIsMinus9999) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<TokenOutput> outputs = {{'a', -infinity, 9, {{'b', -20000.0f, 1}}, "a"}};
  const json::object out = chat_logprobs(style_, outputs);
  EXPECT_EQ(out.at("content").at(0).at("logprob").as_double(), -9999.0);
  EXPECT_EQ(out.at("content").at(0).at("top_logprobs").at(0).at("logprob").as_double(), -9999.0);
}

TEST_F(Logprobs, TheChosenTokenIsListedOnceAmongTheTop) {
  CompletionLogprobs logprobs(style_);
  json::object out;
  const std::vector<TokenOutput> outputs = {{'b', -2, 2, {{'a', -1, 1}, {'b', -2, 2}}, "b"}};
  logprobs.add(out, outputs);
  EXPECT_EQ(out.at("top_logprobs").at(0).as_object().size(), 2u);
}

TEST_F(Logprobs, PromptOutputsFitThePromptWhicheverTokenTheyBeginWith) {
  const std::vector<TokenId> prompt = {'x', 'y', 'z'};
  const TokenOutput y{'y', -1, 1, {}, ""};
  const TokenOutput z{'z', -2, 1, {}, ""};
  for (const auto& given : {std::vector{TokenOutput{}, y, z}, std::vector{y, z}}) {
    const auto outputs = prompt_outputs(prompt, given);
    ASSERT_EQ(outputs.size(), 3u);
    EXPECT_EQ(outputs[0].token, 'x');
    EXPECT_EQ(outputs[2].logprob, -2.0f);
  }
  const json::array out = prompt_logprobs(style_, prompt_outputs(prompt, {y, z}));
  EXPECT_TRUE(out[0].is_null());
  EXPECT_EQ(out[1].at("121").at("decoded_token"), "y");
}

TEST_F(Logprobs, SpecialTokensAreShown) {
  const std::vector<TokenOutput> outputs = {{257, -1, 1, {}, ""}};
  EXPECT_EQ(chat_logprobs(style_, outputs).at("content").at(0).at("token"), "<|end|>");
}

}  // namespace
}  // namespace inferno::serve
