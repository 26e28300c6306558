#include "token/wordpiece.h"

#include <gmock/gmock.h>

namespace inferno::token {
namespace {

using ::testing::ElementsAre;

TEST(BertWords, AreCutAtSpacePunctuationAndIdeographs) {
  EXPECT_THAT(split_bert_words("don't  go\u4E2D\u6587.", LetterCase::kKept),
              ElementsAre("don", "'", "t", "go", "\u4E2D", "\u6587", "."));
}

TEST(BertWords, LoseCaseAndAccentsTogether) {
  EXPECT_THAT(split_bert_words("\u00C9COLE \u0130x", LetterCase::kLowered),
              ElementsAre("ecole", "ix"));
  EXPECT_THAT(split_bert_words("\u00C9COLE", LetterCase::kKept), ElementsAre("\u00C9COLE"));
}

TEST(BertWords, LoseControlsAndBadBytes) {
  EXPECT_THAT(split_bert_words("a\u200Bb\x01\xFF"
                               "c\td",
                               LetterCase::kKept),
              ElementsAre("abc", "d"));
}

}  // namespace
}  // namespace inferno::token
