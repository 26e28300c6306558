// WordPiece, as BERT's tokenizer does it: text is cleaned, cut at white space and punctuation, and
// each word is spelled with the longest pieces from the left (Devlin et al. 2019;
// google-research/bert, tokenization.py).
//
//   "Héllo, 世界"  -> hello , 世 界 -> U+2581hello  U+2581,  U+2581世  U+2581界
//
// Pieces are spelled as GGUF has them: U+2581 in front of a piece that begins a word, nothing in
// front of one that continues it. A word that cannot be spelled is one unknown token.
//
// Threads: immutable once built. Cost: O(n * longest piece).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "token/vocabulary.h"
#include "token/vocabulary_index.h"

namespace inferno::token {

class WordPieceModel {
 public:
  // `pieces` are views of vocabulary.tokens. Requires: they outlive this object.
  WordPieceModel(const Vocabulary& vocabulary, std::span<const std::string_view> pieces);

  // Appends the tokens of `text`; any bytes are allowed, those that are not UTF-8 count as U+FFFD.
  void encode(std::string_view text, std::vector<TokenId>& out) const;

 private:
  void encode_word(std::string_view word, std::vector<TokenId>& out) const;

  PieceIndex index_;
  std::optional<TokenId> unknown_;
  bool lowercase_;
};

// The words of `text`, cleaned. Exposed for tests.
enum class LetterCase : uint8_t { kKept, kLowered };
std::vector<std::string> split_bert_words(std::string_view text, LetterCase letters);

}  // namespace inferno::token
