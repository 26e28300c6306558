#include "token/sentencepiece.h"

#include <gmock/gmock.h>

#include <random>

#include "token/tokenizer_testing.h"

namespace inferno::token {
namespace {

struct Held {
  explicit Held(Vocabulary given)
      : vocabulary(std::move(given)),
        pieces(vocabulary.tokens.begin(), vocabulary.tokens.end()),
        model(vocabulary, pieces) {}

  std::vector<TokenId> encode(std::string_view text) const {
    Merger scratch;
    std::vector<TokenId> ids;
    model.encode(text, scratch, ids);
    return ids;
  }

  Vocabulary vocabulary;
  std::vector<std::string_view> pieces;
  SentencePieceModel model;
};

// The definition: join the leftmost pair whose text is the piece of the highest score until none
// is.
std::vector<std::string> merge_pieces_naively(const Vocabulary& vocabulary,
                                              const std::string& text) {
  std::vector<std::string> parts;
  for (const char letter : text) {
    if (letter == '_') {
      parts.emplace_back(kSpaceMark);
    } else {
      parts.emplace_back(1, letter);
    }
  }
  for (;;) {
    std::optional<float> best;
    size_t at = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = std::ranges::find(vocabulary.tokens, parts[i] + parts[i + 1]);
      if (found == vocabulary.tokens.end()) continue;
      const float score = vocabulary.scores[static_cast<size_t>(found - vocabulary.tokens.begin())];
      if (!best || score > *best) {
        best = score;
        at = i;
      }
    }
    if (!best) return parts;
    parts[at] += parts[at + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

// Pieces over a, b and the mark, some of which have the mark inside: words are then merged
// together.
Vocabulary random_vocabulary(std::mt19937& random) {
  Vocabulary vocabulary;
  vocabulary.kind = VocabularyKind::kSentencePieceBpe;
  vocabulary.tokens = {"a", "b", std::string(kSpaceMark)};
  const bool inner_marks = random() % 2 == 0;
  while (vocabulary.tokens.size() < 15) {
    const auto any = [&] { return vocabulary.tokens[random() % vocabulary.tokens.size()]; };
    std::string piece = any() + any();
    const bool inner = piece.find(kSpaceMark, 1) != std::string::npos;
    if (inner && !inner_marks) continue;
    if (std::ranges::find(vocabulary.tokens, piece) == vocabulary.tokens.end()) {
      vocabulary.tokens.push_back(std::move(piece));
    }
  }
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    vocabulary.scores.push_back(-static_cast<float>(random() % 8));
  }
  return vocabulary;
}

TEST(SentencePieceModel, AgreesWithTheDefinition) {
  std::mt19937 random(5);
  for (int round = 0; round < 400; ++round) {
    const Held held(random_vocabulary(random));
    std::string letters;
    for (auto count = random() % 30; count > 0; --count)
      letters += "ab_"[random() % 3];
    std::string text;
    for (const std::string& part : merge_pieces_naively({}, letters))
      text += part;
    std::vector<std::string> pieces;
    for (const TokenId id : held.encode(text)) {
      pieces.push_back(held.vocabulary.tokens[static_cast<size_t>(id)]);
    }
    EXPECT_EQ(pieces, merge_pieces_naively(held.vocabulary, letters)) << letters;
  }
}

TEST(SentencePieceModel, BadBytesAreByteTokens) {
  const Held held(testing::small_sentence_piece_vocabulary());
  EXPECT_THAT(held.encode("\xE2\x96"), ::testing::ElementsAre(3 + 0xE2, 3 + 0x96));
}

TEST(WithSpaces, ReplacesEveryMark) {
  EXPECT_EQ(with_spaces("\u2581a\u2581\u2581"), " a  ");
  EXPECT_EQ(with_spaces(""), "");
}

}  // namespace
}  // namespace inferno::token
