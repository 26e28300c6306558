#include "token/detokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "token/tokenizer_testing.h"
#include "token/unicode.h"

namespace inferno::token {
namespace {

constexpr EncodeOptions kTextOnly = {.add_special = false, .parse_special = false};

TEST(Detokenizer, HoldsBackHalfACharacter) {
  const auto tokenizer = testing::make_tokenizer(testing::small_byte_level_vocabulary());
  Detokenizer detokenizer(*tokenizer);
  const std::vector<TokenId> ids = tokenizer->encode("\U0001F600!", kTextOnly);
  ASSERT_EQ(ids.size(), 5u);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(detokenizer.push(ids[i]), "");
  EXPECT_EQ(detokenizer.pending().size(), 3u);
  EXPECT_EQ(detokenizer.push(ids[3]), "\U0001F600");
  EXPECT_EQ(detokenizer.push(ids[4]), "!");
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(Detokenizer, ReplacesBytesAtOnceWhenTheyCannotBeCompleted) {
  const auto tokenizer = testing::make_tokenizer(testing::small_byte_level_vocabulary());
  Detokenizer detokenizer(*tokenizer);
  EXPECT_EQ(detokenizer.push(0xE4), "");
  EXPECT_EQ(detokenizer.push('A'), "\uFFFDA");
  EXPECT_EQ(detokenizer.push(0xFF), "\uFFFD");
  EXPECT_EQ(detokenizer.push(0xF0), "");
  EXPECT_EQ(detokenizer.push(0x9F), "");
  EXPECT_EQ(detokenizer.finish(), "\uFFFD");
  EXPECT_EQ(detokenizer.push('B'), "B");
}

TEST(Detokenizer, DropsTheSpaceOfTheFirstShownTokenOnly) {
  const auto tokenizer = testing::make_tokenizer(testing::small_sentence_piece_vocabulary());
  const TokenId hello = *tokenizer->find("\u2581hello");
  Detokenizer begins(*tokenizer);
  EXPECT_EQ(begins.push(1), "");
  EXPECT_EQ(begins.push(hello), "hello");
  EXPECT_EQ(begins.push(hello), " hello");
  begins.finish();
  EXPECT_EQ(begins.push(hello), "hello") << "finish() starts over";
  Detokenizer continues(*tokenizer, {.starts_text = false});
  EXPECT_EQ(continues.push(hello), " hello");
}

TEST(Detokenizer, PiecesPutTogetherAreTheWholeText) {
  Vocabulary unstripped = testing::small_sentence_piece_vocabulary();
  unstripped.add_space_prefix = false;
  std::mt19937 random(11);
  for (const auto& tokenizer : {testing::make_tokenizer(testing::small_byte_level_vocabulary()),
                                testing::make_tokenizer(testing::small_sentence_piece_vocabulary()),
                                testing::make_tokenizer(unstripped)}) {
    for (int round = 0; round < 500; ++round) {
      std::vector<TokenId> ids;
      const auto size = static_cast<uint32_t>(tokenizer->vocab_size());
      for (auto count = random() % 20; count > 0; --count) {
        ids.push_back(static_cast<TokenId>(random() % (size + 2)) - 1);
      }
      const DecodeOptions options = {.skip_special = random() % 2 == 0,
                                     .starts_text = random() % 2 == 0};
      Detokenizer detokenizer(*tokenizer, options);
      std::string text;
      for (const TokenId id : ids) {
        const std::string part = detokenizer.push(id);
        EXPECT_EQ(valid_utf8_prefix(part), part.size());
        text += part;
      }
      text += detokenizer.finish();
      EXPECT_EQ(text, tokenizer->decode(ids, options));
    }
  }
}

}  // namespace
}  // namespace inferno::token
