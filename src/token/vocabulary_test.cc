#include "token/vocabulary.h"

#include <gtest/gtest.h>

#include "token/vocabulary_index.h"

namespace inferno::token {
namespace {

TEST(ParseMerge, SplitsAtTheFirstSpaceBehindACharacter) {
  const auto merge = parse_merge("\u0120 t");
  ASSERT_TRUE(merge);
  EXPECT_EQ(merge->left, "\u0120");
  EXPECT_EQ(merge->right, "t");
  EXPECT_EQ(parse_merge("  b")->left, " ");
  EXPECT_FALSE(parse_merge("ab"));
  EXPECT_FALSE(parse_merge("a "));
  EXPECT_FALSE(parse_merge(""));
}

TEST(ImpliedFlags, FollowTheKindAndThePreTokenizer) {
  Vocabulary vocabulary;
  vocabulary.pre_tokenizer = "llama-bpe";
  set_implied_flags(vocabulary);
  EXPECT_TRUE(vocabulary.add_bos);
  EXPECT_TRUE(vocabulary.ignore_merges);
  vocabulary.pre_tokenizer = "qwen2";
  set_implied_flags(vocabulary);
  EXPECT_FALSE(vocabulary.add_bos);
  EXPECT_FALSE(vocabulary.ignore_merges);
  vocabulary.kind = VocabularyKind::kSentencePieceBpe;
  set_implied_flags(vocabulary);
  EXPECT_TRUE(vocabulary.add_bos);
  EXPECT_TRUE(vocabulary.add_space_prefix);
  vocabulary.kind = VocabularyKind::kWordPiece;
  set_implied_flags(vocabulary);
  EXPECT_TRUE(vocabulary.add_bos && vocabulary.add_eos);
  EXPECT_FALSE(vocabulary.add_space_prefix);
}

TEST(PieceIndex, FindsTheLowestOfEqualPiecesAndNoEmptyOne) {
  const std::vector<std::string_view> pieces = {"a", "", "b", "a"};
  PieceIndex index(pieces);
  for (TokenId id = 0; id < 4; ++id)
    index.insert(id);
  EXPECT_EQ(index.find("a"), 0);
  EXPECT_EQ(index.find("b"), 2);
  EXPECT_EQ(index.find(""), std::nullopt);
  EXPECT_EQ(index.find("ab"), std::nullopt);
  EXPECT_EQ(PieceIndex().find("a"), std::nullopt);
}

}  // namespace
}  // namespace inferno::token
