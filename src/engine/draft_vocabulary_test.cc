#include "engine/draft_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferno::engine {
namespace {

using ::testing::HasSubstr;

token::Vocabulary vocabulary_of(int tokens, int unused = 0) {
  token::Vocabulary vocabulary;
  for (int i = 0; i < tokens + unused; ++i) {
    vocabulary.tokens.push_back(i < tokens ? fmt::format("t{}", i) : fmt::format("[PAD{}]", i));
    vocabulary.types.push_back(i < tokens ? token::TokenType::kNormal : token::TokenType::kUnused);
  }
  return vocabulary;
}

TEST(DraftVocabulary, TheSameIsFit) {
  EXPECT_TRUE(check_draft_vocabulary(vocabulary_of(300), vocabulary_of(300)));
}

TEST(DraftVocabulary, PaddingMayDiffer) {
  EXPECT_TRUE(check_draft_vocabulary(vocabulary_of(300, 4000), vocabulary_of(300)));
  EXPECT_TRUE(check_draft_vocabulary(vocabulary_of(300), vocabulary_of(300, 4000)));
  EXPECT_TRUE(check_draft_vocabulary(vocabulary_of(300), vocabulary_of(428)));
  EXPECT_TRUE(check_draft_vocabulary(vocabulary_of(428), vocabulary_of(300)));
}

TEST(DraftVocabulary, AnotherSizeIsRefusedWithBoth) {
  const auto refused = check_draft_vocabulary(vocabulary_of(300), vocabulary_of(429));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::kInvalid);
  EXPECT_EQ(refused.error().param, "speculative-config");
  EXPECT_THAT(refused.error().message, HasSubstr("429 tokens and the model 300"));
}

TEST(DraftVocabulary, AnotherTokenIsRefusedByName) {
  token::Vocabulary other = vocabulary_of(300);
  other.tokens[17] = "else";
  const auto refused = check_draft_vocabulary(vocabulary_of(300), other);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("token 17 is 'else', and 't17' in the model"));
}

}  // namespace
}  // namespace inferno::engine
