#include "token/tokenizer.h"

#include <gmock/gmock.h>

#include <random>
#include <thread>

#include "token/bpe_bytes.h"
#include "token/tokenizer_testing.h"

namespace inferno::token {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr EncodeOptions kPlain = {.add_special = false, .parse_special = false};
constexpr EncodeOptions kParsed = {.add_special = false, .parse_special = true};

std::vector<std::string> pieces_of(const Tokenizer& tokenizer, std::string_view text,
                                   EncodeOptions options = kPlain) {
  std::vector<std::string> pieces;
  for (const TokenId id : tokenizer.encode(text, options)) {
    pieces.push_back(tokenizer.vocabulary().tokens[static_cast<size_t>(id)]);
  }
  return pieces;
}

std::string error_of(Vocabulary vocabulary) {
  const auto tokenizer = Tokenizer::create(std::move(vocabulary));
  return tokenizer ? "" : tokenizer.error().message;
}

TEST(Tokenizer, MergesInOrderOfRank) {
  const auto tokenizer = testing::make_tokenizer(testing::small_byte_level_vocabulary());
  EXPECT_THAT(pieces_of(*tokenizer, "hello"), ElementsAre("hello"));
  EXPECT_THAT(pieces_of(*tokenizer, "hellhe w"), ElementsAre("hell", "he", "\u0120w"));
  EXPECT_THAT(pieces_of(*tokenizer, "aaaaaaa"), ElementsAre("aaaa", "aa", "a"));
}

TEST(Tokenizer, NeverMergesAcrossWords) {
  const auto tokenizer = testing::make_tokenizer(testing::small_byte_level_vocabulary());
  EXPECT_THAT(pieces_of(*tokenizer, "h'd e"), ElementsAre("h", "'", "d", "\u0120", "e"));
}

TEST(Tokenizer, MatchesControlTokensOnRequestOnly) {
  const auto tokenizer = testing::make_tokenizer(testing::small_byte_level_vocabulary());
  EXPECT_THAT(pieces_of(*tokenizer, "a<|end|>", kParsed), ElementsAre("a", "<|end|>"));
  const auto plain = tokenizer->encode("a<|end|>", kPlain);
  EXPECT_THAT(plain, ::testing::Each(
                         ::testing::Truly([&](TokenId id) { return !tokenizer->is_special(id); })));
  EXPECT_EQ(tokenizer->decode(plain, {.skip_special = true}), "a<|end|>");
}

TEST(Tokenizer, AlwaysMatchesUserDefinedTokensAndShowsThem) {
  const auto tokenizer = testing::make_tokenizer(testing::small_byte_level_vocabulary());
  EXPECT_THAT(pieces_of(*tokenizer, "<tool>a<tool"),
              ElementsAre("<tool>", "a", "<", "t", "o", "o", "l"));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("<tool>", kPlain)), "<tool>");
}

TEST(Tokenizer, PrefersTheLongestSpecialTokenAtTheLeftmostPlace) {
  Vocabulary vocabulary = testing::small_byte_level_vocabulary();
  for (const char* piece : {"<<", "<<<a", "<a"}) {
    vocabulary.tokens.emplace_back(piece);
    vocabulary.types.push_back(TokenType::kUserDefined);
  }
  const auto tokenizer = testing::make_tokenizer(std::move(vocabulary));
  EXPECT_THAT(pieces_of(*tokenizer, "<<<a"), ElementsAre("<<<a"));
  EXPECT_THAT(pieces_of(*tokenizer, "<<<<a"), ElementsAre("<<", "<<", "a"));
  EXPECT_THAT(pieces_of(*tokenizer, "<<<"), ElementsAre("<<", "<"));
}

TEST(Tokenizer, HidesSpecialTokensUnlessAskedToShowThem) {
  const auto tokenizer = testing::make_tokenizer(testing::small_byte_level_vocabulary());
  const auto ids = tokenizer->encode("a<|end|>b", kParsed);
  EXPECT_EQ(tokenizer->decode(ids), "ab");
  EXPECT_EQ(tokenizer->decode(ids, {.skip_special = false}), "a<|end|>b");
  EXPECT_EQ(tokenizer->piece_bytes(ids[1]), "");
  EXPECT_EQ(tokenizer->piece_bytes(ids[1], {.skip_special = false}), "<|end|>");
}

TEST(Tokenizer, SpecialTokensSwallowTheSpaceTheyAreToldTo) {
  Vocabulary vocabulary = testing::small_byte_level_vocabulary();
  const TokenId end = *vocabulary.eos;
  vocabulary.strip_left = {end};
  const TokenId tool = end + 1;
  vocabulary.strip_right = {tool};
  const auto tokenizer = testing::make_tokenizer(std::move(vocabulary));
  EXPECT_THAT(pieces_of(*tokenizer, "a \u3000<|end|> b", kParsed),
              ElementsAre("a", "<|end|>", "\u0120", "b"));
  EXPECT_THAT(pieces_of(*tokenizer, "a <tool> \n b", kParsed),
              ElementsAre("a", "\u0120", "<tool>", "b"));
}

TEST(Tokenizer, AddsBosAndEosAsTheVocabularySays) {
  Vocabulary vocabulary = testing::small_sentence_piece_vocabulary();
  vocabulary.add_eos = true;
  const auto both = testing::make_tokenizer(vocabulary);
  EXPECT_THAT(pieces_of(*both, "h", {}), ElementsAre("<s>", "\u2581", "h", "</s>"));
  vocabulary.add_bos = vocabulary.add_eos = false;
  const auto none = testing::make_tokenizer(vocabulary);
  EXPECT_THAT(pieces_of(*none, "h", {}), ElementsAre("\u2581", "h"));
}

TEST(Tokenizer, TakesWholeWordsFirstWhenMergesAreIgnored) {
  Vocabulary vocabulary = testing::small_byte_level_vocabulary();
  vocabulary.tokens.emplace_back("hex");
  vocabulary.types.push_back(TokenType::kNormal);
  const auto merged = testing::make_tokenizer(vocabulary);
  EXPECT_THAT(pieces_of(*merged, "hex"), ElementsAre("he", "x"));
  vocabulary.ignore_merges = true;
  const auto whole = testing::make_tokenizer(vocabulary);
  EXPECT_THAT(pieces_of(*whole, "hex hexx"), ElementsAre("hex", "\u0120", "he", "x", "x"))
      << "a word is whole or merged";
}

TEST(Tokenizer, SentencePieceMergesByScoreAndPrefixesSpace) {
  const auto tokenizer = testing::make_tokenizer(testing::small_sentence_piece_vocabulary());
  EXPECT_THAT(pieces_of(*tokenizer, "hello hell"), ElementsAre("\u2581hello", "\u2581", "hell"));
  EXPECT_THAT(pieces_of(*tokenizer, " hello"), ElementsAre("\u2581", "\u2581hello"));
  EXPECT_THAT(pieces_of(*tokenizer, ""), IsEmpty());
}

TEST(Tokenizer, SentencePieceSpellsUnknownCharactersInBytes) {
  const auto tokenizer = testing::make_tokenizer(testing::small_sentence_piece_vocabulary());
  EXPECT_THAT(pieces_of(*tokenizer, "h\u00E9\xFF"),
              ElementsAre("\u2581", "h", "<0xC3>", "<0xA9>", "<0xFF>"));
}

TEST(Tokenizer, SentencePieceWithoutBytesFusesUnknownCharacters) {
  Vocabulary vocabulary = testing::small_sentence_piece_vocabulary();
  std::fill(vocabulary.types.begin() + 3, vocabulary.types.begin() + testing::kFirstSentencePiece,
            TokenType::kUnused);
  const auto tokenizer = testing::make_tokenizer(std::move(vocabulary));
  EXPECT_THAT(pieces_of(*tokenizer, "h\u00E9\u4E2Dh"), ElementsAre("\u2581", "h", "<unk>", "h"));
}

TEST(Tokenizer, TextCannotForgeSentencePieceControlOrByteTokens) {
  const auto tokenizer = testing::make_tokenizer(testing::small_sentence_piece_vocabulary());
  EXPECT_THAT(pieces_of(*tokenizer, "<s>"), ElementsAre("\u2581", "<s", ">"));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("<0x0A>", kPlain)), "<0x0A>");
  EXPECT_THAT(pieces_of(*tokenizer, "<s>", kParsed), ElementsAre("<s>"));
}

TEST(Tokenizer, SentencePieceDropsTheSpaceThatBeginsAText) {
  const auto tokenizer = testing::make_tokenizer(testing::small_sentence_piece_vocabulary());
  const auto ids = tokenizer->encode("hello", kPlain);
  EXPECT_EQ(tokenizer->decode(ids), "hello");
  EXPECT_EQ(tokenizer->decode(ids, {.starts_text = false}), " hello");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("  hello ", kPlain)), "  hello ");
}

TEST(Tokenizer, SpacePrefixBehindSpecialTokensIsOptional) {
  Vocabulary vocabulary = testing::small_sentence_piece_vocabulary();
  const auto always = testing::make_tokenizer(vocabulary);
  EXPECT_THAT(pieces_of(*always, "<s>h", kParsed), ElementsAre("<s>", "\u2581", "h"));
  vocabulary.space_prefix_after_special = false;
  const auto first = testing::make_tokenizer(vocabulary);
  EXPECT_THAT(pieces_of(*first, "<s>h", kParsed), ElementsAre("<s>", "h"));
}

TEST(Tokenizer, TidiesSpacesWhereTheVocabularySaysSo) {
  Vocabulary vocabulary = testing::small_sentence_piece_vocabulary();
  vocabulary.remove_extra_whitespaces = true;
  const auto tokenizer = testing::make_tokenizer(std::move(vocabulary));
  EXPECT_EQ(tokenizer->encode("  hello   hello  ", kPlain),
            tokenizer->encode("hello hello", kPlain));
  EXPECT_THAT(pieces_of(*tokenizer, "   "), IsEmpty());
}

TEST(Tokenizer, SentencePieceMayBeRankedByRules) {
  Vocabulary vocabulary = testing::small_sentence_piece_vocabulary();
  vocabulary.scores.clear();
  vocabulary.merges = {{"l", "l"}, {"h", "e"}};
  const auto tokenizer = testing::make_tokenizer(std::move(vocabulary));
  EXPECT_THAT(pieces_of(*tokenizer, "hello"), ElementsAre("\u2581", "he", "ll", "o"));
}

TEST(Tokenizer, ComposesTextWhereTheVocabularySaysSo) {
  Vocabulary vocabulary = testing::small_byte_level_vocabulary();
  vocabulary.normalize_nfc = true;
  const auto tokenizer = testing::make_tokenizer(std::move(vocabulary));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("e\u0301", kPlain)), "\u00E9");
}

TEST(Tokenizer, WordPieceSpellsWordsOrGivesThemUp) {
  Vocabulary vocabulary;
  vocabulary.kind = VocabularyKind::kWordPiece;
  vocabulary.tokens = {"[UNK]", "[CLS]", "[SEP]", "\u2581hug", "\u2581h", "ug", "s", "\u2581,"};
  vocabulary.types.assign(8, TokenType::kNormal);
  vocabulary.types[0] = TokenType::kUnknown;
  vocabulary.types[1] = vocabulary.types[2] = TokenType::kControl;
  vocabulary.unk = 0;
  vocabulary.cls = 1;
  vocabulary.sep = 2;
  set_implied_flags(vocabulary);
  const auto tokenizer = testing::make_tokenizer(std::move(vocabulary));
  EXPECT_THAT(pieces_of(*tokenizer, "H\u00FAgs,hugx", {}),
              ElementsAre("[CLS]", "\u2581hug", "s", "\u2581,", "[UNK]", "[SEP]"));
  EXPECT_THAT(pieces_of(*tokenizer, std::string(101, 'h')), ElementsAre("[UNK]"));
}

TEST(Tokenizer, KnowsTokensThatEndAnAnswer) {
  Vocabulary vocabulary = testing::small_byte_level_vocabulary();
  const auto add = [&](const char* piece, TokenType type) {
    vocabulary.tokens.emplace_back(piece);
    vocabulary.types.push_back(type);
    return static_cast<TokenId>(vocabulary.tokens.size() - 1);
  };
  const TokenId control = add("<|im_end|>", TokenType::kControl);
  const TokenId plain = add("<|eot_id|>", TokenType::kNormal);
  vocabulary.end_of_generation = {5};
  const TokenId eos = *vocabulary.eos;
  const auto tokenizer = testing::make_tokenizer(std::move(vocabulary));
  EXPECT_THAT(tokenizer->vocabulary().end_of_generation, ElementsAre(5, eos, control));
  EXPECT_TRUE(tokenizer->is_end_of_generation(control));
  EXPECT_FALSE(tokenizer->is_end_of_generation(plain));
  EXPECT_FALSE(tokenizer->is_end_of_generation(-1));
}

TEST(Tokenizer, HarmonyMessagesEndWithoutEndingTheAnswer) {
  Vocabulary vocabulary = testing::small_byte_level_vocabulary();
  vocabulary.eos.reset();
  for (const char* piece : {"<|return|>", "<|call|>"}) {
    vocabulary.tokens.emplace_back(piece);
    vocabulary.types.push_back(TokenType::kControl);
  }
  const auto tokenizer = testing::make_tokenizer(std::move(vocabulary));
  EXPECT_FALSE(tokenizer->is_end_of_generation(*tokenizer->find("<|end|>")));
  EXPECT_TRUE(tokenizer->is_end_of_generation(*tokenizer->find("<|call|>")));
}

TEST(Tokenizer, IdsOutsideTheVocabularyAddNothing) {
  const auto tokenizer = testing::make_tokenizer(testing::small_byte_level_vocabulary());
  const std::vector<TokenId> ids = {-1, 'A' - 33 + 33, tokenizer->vocab_size(), 1 << 30};
  EXPECT_EQ(tokenizer->decode(ids), tokenizer->decode(std::vector<TokenId>{'A'}));
  EXPECT_FALSE(tokenizer->is_special(1 << 30));
}

TEST(Tokenizer, RefusesVocabulariesThatDisagreeWithThemselves) {
  EXPECT_THAT(error_of({}), HasSubstr("no tokens"));
  Vocabulary vocabulary = testing::small_byte_level_vocabulary();
  vocabulary.types.pop_back();
  EXPECT_THAT(error_of(vocabulary), HasSubstr("265 tokens but 264 token types"));
  vocabulary = testing::small_byte_level_vocabulary();
  vocabulary.scores = {1.0f};
  EXPECT_THAT(error_of(vocabulary), HasSubstr("265 tokens but 1 scores"));
  vocabulary = testing::small_byte_level_vocabulary();
  vocabulary.bos = 265;
  EXPECT_THAT(error_of(vocabulary), HasSubstr("bos token id is 265, the vocabulary has 265"));
  vocabulary = testing::small_byte_level_vocabulary();
  vocabulary.strip_left = {-1};
  EXPECT_THAT(error_of(vocabulary), HasSubstr("strip_left token id is -1"));
  vocabulary = testing::small_byte_level_vocabulary();
  vocabulary.pre_tokenizer = "nonesuch";
  EXPECT_THAT(error_of(vocabulary), HasSubstr("pre-tokenizer \"nonesuch\" is unknown"));
  vocabulary = testing::small_byte_level_vocabulary();
  vocabulary.pre_tokenizer_regexes = {"("};
  EXPECT_THAT(error_of(vocabulary), HasSubstr("pre-tokenizer expression \"(\""));
  vocabulary = testing::small_sentence_piece_vocabulary();
  vocabulary.scores.clear();
  EXPECT_THAT(error_of(vocabulary), HasSubstr("neither scores nor merges"));
  vocabulary.kind = VocabularyKind::kUnigram;
  EXPECT_THAT(error_of(vocabulary), HasSubstr("unigram"));
}

TEST(Tokenizer, ByteLevelGivesEveryUtf8TextBack) {
  const auto tokenizer = testing::make_tokenizer(testing::small_byte_level_vocabulary());
  std::mt19937 random(20240607);
  const std::vector<std::string> parts = {"a",      "hello",      " ",      "  ",  "\n", "\u00E9",
                                          "\u4E2D", "\U0001F600", "7",      "'ll", "<|", "end|>",
                                          "<tool>", "\u2581",     "\u0120", "!"};
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (auto count = random() % 40; count > 0; --count)
      text += parts[random() % parts.size()];
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, kPlain)), text);
  }
}

TEST(Tokenizer, AnyBytesComeBackFromTheTokens) {
  Vocabulary sentence_piece = testing::small_sentence_piece_vocabulary();
  sentence_piece.add_space_prefix = false;
  for (const auto& tokenizer : {testing::make_tokenizer(testing::small_byte_level_vocabulary()),
                                testing::make_tokenizer(sentence_piece)}) {
    std::mt19937 random(7);
    for (int round = 0; round < 300; ++round) {
      std::string text;
      for (auto count = random() % 30; count > 0; --count)
        text += static_cast<char>(random());
      std::string bytes;
      for (const TokenId id : tokenizer->encode(text, kPlain))
        bytes += tokenizer->piece_bytes(id);
      EXPECT_EQ(bytes, text);
    }
  }
}

// Each would take hours if any part were quadratic; the test's own time limit is the assertion.
TEST(Tokenizer, HostileTextsTakeLinearTime) {
  constexpr size_t kSize = 1 << 20;
  std::vector<std::string> texts;
  for (const char letter : {'a', ' ', '\n', '7', '<', '\''})
    texts.emplace_back(kSize, letter);
  texts.push_back(std::string(kSize, ' ') + "x");
  texts.push_back(std::string(kSize, '\xCC'));
  std::string tools;
  while (tools.size() < kSize)
    tools += "<tool";
  texts.push_back(tools);
  for (Vocabulary vocabulary :
       {testing::small_byte_level_vocabulary(), testing::small_sentence_piece_vocabulary()}) {
    const auto tokenizer = testing::make_tokenizer(std::move(vocabulary));
    for (const std::string& text : texts) {
      std::string bytes;
      for (const TokenId id : tokenizer->encode(text, kPlain))
        bytes += tokenizer->piece_bytes(id);
      if (tokenizer->strips_leading_space()) bytes.erase(0, 1);
      EXPECT_TRUE(bytes == text) << text.substr(0, 5);
    }
    EXPECT_EQ(tokenizer->degraded_splits(), 0u);
  }
}

TEST(Tokenizer, ThreadsMayShareOne) {
  const auto tokenizer = testing::make_tokenizer(testing::small_byte_level_vocabulary());
  const std::string text = "hello <tool> w 123 \u4E2D\n";
  const auto expected = tokenizer->encode(text, kParsed);
  std::vector<std::jthread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 200; ++round)
        wrong += tokenizer->encode(text, kParsed) != expected;
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace inferno::token
