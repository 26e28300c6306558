// What Tokenizer looks things up in, built once from a Vocabulary.
//
// Threads: immutable once built. Internal to token/.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "token/bpe_byte_level.h"
#include "token/pretokenizer.h"
#include "token/sentencepiece.h"
#include "token/tokenizer_special.h"
#include "token/vocabulary.h"
#include "token/vocabulary_index.h"
#include "token/wordpiece.h"

namespace inferno::token {

// Facts about a token, as bits.
enum TokenFact : uint8_t {
  kSpecial = 1,      // control or unknown
  kEnds = 2,         // ends an answer
  kStripsLeft = 4,   // swallows white space before it
  kStripsRight = 8,  // ... and after it
};

struct TokenizerTables {
  Vocabulary vocabulary;
  std::vector<std::string_view> pieces;  // [V] views of vocabulary.tokens
  std::vector<std::string_view>
      rendered;  // [V] the bytes each token adds to a text: views of `arena`
  std::string arena;
  PieceIndex index;            // all pieces
  std::vector<uint8_t> facts;  // [V] TokenFact bits
  SpecialMatcher special;
  std::optional<TokenId> begin;  // what add_special puts in front
  std::optional<TokenId> end;    // ... and behind
  bool byte_pieces = false;      // pieces are spelled in stand-ins of bytes
  bool escapes_spaces = false;   // spaces are U+2581 in pieces
  bool normalizes = false;       // text changes before it is cut into words
  bool strips_leading_space = false;

  std::unique_ptr<PreTokenizer> pre_tokenizer;  // none: a text is one word
  std::unique_ptr<ByteLevelModel> byte_level;   // one of the models
  std::unique_ptr<SentencePieceModel> sentence_piece;
  std::unique_ptr<WordPieceModel> word_piece;

  // Whether the token has the fact; false for an id outside the vocabulary.
  bool has(TokenId token, TokenFact fact) const {
    return token >= 0 && static_cast<size_t>(token) < facts.size() &&
           (facts[static_cast<size_t>(token)] & fact) != 0;
  }
};

// See Tokenizer::create for the errors.
Result<std::unique_ptr<TokenizerTables>> build_tables(Vocabulary vocabulary);

}  // namespace inferno::token
