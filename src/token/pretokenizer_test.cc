#include "token/pretokenizer.h"

#include <gmock/gmock.h>

#include "token/pretokenizer_table.h"

namespace inferno::token {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<PreTokenizer> make(std::vector<std::string> regexes) {
  auto made = PreTokenizer::create(regexes);
  EXPECT_TRUE(made.has_value()) << made.error().message;
  return made ? std::move(*made) : nullptr;
}

std::unique_ptr<PreTokenizer> make_named(std::string_view name) {
  const PreTokenizerRule* rule = find_pre_tokenizer(name);
  EXPECT_NE(rule, nullptr) << name;
  return make({rule->regexes.begin(), rule->regexes.end()});
}

std::vector<std::string> split(const PreTokenizer& pre_tokenizer, std::string_view text) {
  const auto pieces = pre_tokenizer.split(text);
  return {pieces.begin(), pieces.end()};
}

std::string refusal_of(const std::string& regex) {
  const auto made = PreTokenizer::create(std::vector{regex});
  return made ? "" : made.error().message;
}

TEST(PreTokenizer, KnowsAllNamesAndTheirExpressionsCompile) {
  EXPECT_EQ(pre_tokenizer_names().size(), 87u);
  for (const std::string_view name : pre_tokenizer_names()) {
    const auto pre_tokenizer = make_named(name);
    std::string text;
    for (const auto& piece : split(*pre_tokenizer, "It's 12345 \u4E2D\u6587,\r\n ok"))
      text += piece;
    EXPECT_EQ(text, "It's 12345 \u4E2D\u6587,\r\n ok") << name;
  }
  EXPECT_EQ(find_pre_tokenizer("nonesuch"), nullptr);
  EXPECT_EQ(find_pre_tokenizer(""), find_pre_tokenizer("default"));
}

TEST(PreTokenizer, NamesDifferInDigitsAndCase) {
  EXPECT_THAT(split(*make_named("llama-bpe"), "ab 1234 HTTPServer"),
              ElementsAre("ab", " ", "123", "4", " HTTPServer"));
  EXPECT_THAT(split(*make_named("qwen2"), "a 12"), ElementsAre("a", " ", "1", "2"));
  EXPECT_THAT(split(*make_named("gpt-2"), "a 1234's"), ElementsAre("a", " 1234", "'s"));
  EXPECT_THAT(split(*make_named("smollm"), "a 12"), ElementsAre("a", " ", "1", "2"));
  EXPECT_THAT(split(*make_named("gpt-4o"), "camelCase \u00C9t\u00C9"),
              ElementsAre("camel", "Case", " \u00C9t", "\u00C9"));
  EXPECT_THAT(split(*make_named("kimi-k2"), "a\u4E2D\u6587b"),
              ElementsAre("a", "\u4E2D\u6587", "b"));
  EXPECT_THAT(split(*make_named("superbpe"), "1234567"), ElementsAre("1", "234", "567"));
  EXPECT_THAT(split(*make_named("tiny_aya"), "12345 67"), ElementsAre("12", "345", " ", "67"));
  EXPECT_THAT(split(*make_named("deepseek-llm"), "ab  "), ElementsAre("ab", "  "));
}

// o200k_harmony, as tokenizer.json of gpt-oss spells it.
TEST(PreTokenizer, GptOssSplitsAlikeFromAFolderAndFromGguf) {
  const auto folder =
      make({R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)re"
            R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)re"
            R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)re"
            R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)re"
            R"re(\s*[\r\n]+|\s+(?!\S)|\s+)re"});
  const auto gguf = make_named("gpt-4o");
  for (const char* text :
       {"HTTPServer's camelCase DON'T I'LL we've", "12345 a1b22 \u0663\u0664\u0665\u0666",
        "a  b\t\n\n  c \r\n//path/to// !?...", "\u00C9t\u00C9 \u01C5x e\u0301\u0301n \u4E2D\u6587",
        "   ", "\n", "'s 'S x'RE y'Ve", "\u3000\u00A0z \U0001F600\U0001F680!"}) {
    EXPECT_EQ(split(*folder, text), split(*gguf, text)) << text;
  }
}

TEST(PreTokenizer, LaterExpressionsSplitWhatEarlierOnesLeft) {
  EXPECT_THAT(split(*make({"b", "[ab]+"}), "aabba"), ElementsAre("aa", "b", "b", "a"));
}

TEST(PreTokenizer, EmptyMatchesAreBoundaries) {
  EXPECT_THAT(split(*make({"(?=x)"}), "axbxx"), ElementsAre("a", "xb", "x", "x"));
}

TEST(PreTokenizer, SpacesAreUnicodeWhiteSpace) {
  const auto pre_tokenizer = make({R"(\s+)"});
  EXPECT_THAT(split(*pre_tokenizer, "a\u3000\u0085b"), ElementsAre("a", "\u3000\u0085", "b"));
  EXPECT_THAT(split(*pre_tokenizer, "a\u180Eb"), ElementsAre("a\u180E"
                                                             "b"));
  EXPECT_THAT(split(*make({R"([\S]+)"}), "\u180E \u180E"), ElementsAre("\u180E", " ", "\u180E"));
}

TEST(PreTokenizer, ReadsClassesAsTokenizerJsonMeansThem) {
  EXPECT_THAT(split(*make({R"([\p{L}&&[^\p{Han}]]+)"}), "ab\u4E2D"), ElementsAre("ab", "\u4E2D"));
  EXPECT_THAT(split(*make({R"([a-z&&a-c]+)"}), "abcd"), ElementsAre("abc", "d"));
  EXPECT_THAT(split(*make({R"([a[bc]]+)"}), "dabcd"), ElementsAre("d", "abc", "d"));
  EXPECT_THAT(split(*make({R"(\p{Han}+)"}), "\u4E2D\u300B"), ElementsAre("\u4E2D", "\u300B"));
  EXPECT_THAT(split(*make({R"([[:punct:]]+)"}), "a+\u20ACb"), ElementsAre("a", "+\u20AC", "b"));
  EXPECT_THAT(split(*make({R"(\w+)"}), "e\u0301-\u203F"), ElementsAre("e\u0301", "-", "\u203F"));
}

TEST(PreTokenizer, RefusesExpressionsItCannotRead) {
  EXPECT_THAT(refusal_of("[a"), HasSubstr("class without end"));
  EXPECT_THAT(refusal_of("[^a&&[b]]"), HasSubstr("negates an intersection"));
  EXPECT_THAT(refusal_of("[a[^b]]"), HasSubstr("union with a negated class"));
  EXPECT_THAT(refusal_of("(a"), HasSubstr("at byte 2"));
  EXPECT_THAT(refusal_of(std::string(20, '[')), HasSubstr("nested too deep"));
  EXPECT_THAT(refusal_of(std::string(100'000, 'a')), HasSubstr("100000 bytes, limit 65536"));
}

TEST(PreTokenizer, LongWordsAreOnePiece) {
  const std::string word(300'000, 'a');
  const auto pre_tokenizer = make_named("llama-bpe");
  EXPECT_THAT(split(*pre_tokenizer, "b " + word + " c"), ElementsAre("b", " " + word, " c"));
  EXPECT_EQ(pre_tokenizer->degraded_splits(), 0u);
}

// Quadratic expressions over 256 KB: some 10^10 steps if nothing bounded them.
TEST(PreTokenizer, GivesUpOnHostileTextsAndSaysSo) {
  const std::string spaces = std::string(1 << 18, ' ') + "x";
  const auto trailing = make({R"(\s+$)"});
  std::string text;
  for (const auto& piece : split(*trailing, spaces))
    text += piece;
  EXPECT_TRUE(text == spaces);
  EXPECT_GT(trailing->degraded_splits(), 0u);

  const std::string digits(1 << 18, '7');
  const auto triples = make({R"(\d{1,3}(?=(?:\d{3})*\b))"});
  text.clear();
  for (const auto& piece : split(*triples, digits))
    text += piece;
  EXPECT_TRUE(text == digits);
  EXPECT_GT(triples->degraded_splits(), 0u);
}

TEST(PreTokenizer, NamedOnesNeverGiveUp) {
  constexpr size_t kSize = 1 << 15;
  for (const std::string_view name : pre_tokenizer_names()) {
    if (name == "superbpe") continue;  // its boundaries look ahead to the end of a number
    const auto pre_tokenizer = make_named(name);
    for (const char* part : {"a", "A", " ", "7", "\n", "!", "\u4E2D", "\u0301", "' ", "a "}) {
      std::string text;
      while (text.size() < kSize)
        text += part;
      size_t bytes = 0;
      for (const auto piece : pre_tokenizer->split(text + "x"))
        bytes += piece.size();
      EXPECT_EQ(bytes, text.size() + 1);
      EXPECT_EQ(pre_tokenizer->degraded_splits(), 0u) << name << ": " << part;
    }
  }
}

}  // namespace
}  // namespace inferno::token
