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

// The offsets of the prompt's tokens and of a generated token behind it.
std::string prompt_offsets(LogprobStyle style, const std::vector<TokenId>& tokens,
                           std::string_view text) {
  CompletionLogprobs logprobs(style);
  json::object out;
  logprobs.add_prompt(out, prompt_outputs(tokens, {}), text);
  logprobs.add(out, std::vector<TokenOutput>{{'!', -1, 1, {}, "!"}});
  return json::serialize(out.at("text_offset"));
}

TEST_F(Logprobs, APromptsCharacterSplitOverTokensMovesTheOffsetOnce) {
  EXPECT_EQ(prompt_offsets(style_, {'x', 0xC3, 0xA9, 'y'}, "x\xC3\xA9y"), "[0,1,1,2,3]");
}

TEST_F(Logprobs, APromptOfBrokenCharactersIsAsLongAsItsText) {
  // Half a character, then a letter: U+FFFD and the letter; another half at the end.
  const std::vector<TokenId> tokens = {0xC3, 'a', 0xC3};
  const std::string text = tokenizer_->decode(tokens);
  EXPECT_EQ(prompt_offsets(style_, tokens, text), "[0,0,2,3]");
}

TEST_F(Logprobs, ControlTokensCountWhereTheTextSpellsThem) {
  EXPECT_EQ(prompt_offsets(style_, {256, 'a', 257, 'b'}, "<|start|>a<|end|>b"), "[0,9,10,17,18]");
  EXPECT_EQ(prompt_offsets(style_, {256, 'a', 257, 'b'}, "ab"), "[0,0,1,1,2]");
}

TEST(LogprobsOfSentencePiece, ItsLeadingSpaceAndBosAreNoText) {
  token::Vocabulary vocabulary;
  vocabulary.kind = token::VocabularyKind::kSentencePieceBpe;
  vocabulary.tokens = {"<unk>", "<s>", "</s>", "\xE2\x96\x81hi", "\xE2\x96\x81you", "x"};
  vocabulary.types = {token::TokenType::kUnknown, token::TokenType::kControl,
                      token::TokenType::kControl, token::TokenType::kNormal,
                      token::TokenType::kNormal,  token::TokenType::kNormal};
  vocabulary.scores = {0, 0, 0, -1, -2, -3};
  vocabulary.unk = 0;
  vocabulary.bos = 1;
  vocabulary.eos = 2;
  token::set_implied_flags(vocabulary);
  const auto tokenizer = token::Tokenizer::create(std::move(vocabulary));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const LogprobStyle style{**tokenizer, false};
  EXPECT_EQ(prompt_offsets(style, {1, 3, 4, 5}, "hi youx"), "[0,0,2,6,7]");
  // Behind a control token that the text spells, the vocabulary puts a space that the text has not.
  EXPECT_EQ(prompt_offsets(style, {1, 3, 2, 4}, "hi</s>you"), "[0,0,2,6,9]");
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
