// SentencePiece's BPE: pieces are plain UTF-8 with U+2581 for the space; neighbours whose joined
// text is a piece are merged, highest score first; characters without a piece are spelled in byte
// tokens "<0xNN>". (Kudo and Richardson 2018; google/sentencepiece, src/bpe_model.cc.)
//
// A vocabulary with merge rules ("gemma4", tokenizer.json) is ranked by them in place of the
// scores.
//
// Threads: immutable once built. Cost: O(n log n), where n is the longest stretch that no rule can
//          cut; with the usual vocabularies that is a word.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "token/bpe.h"
#include "token/vocabulary.h"
#include "token/vocabulary_index.h"

namespace inferno::token {

inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, lower one eighth block

// `text` with a space for each U+2581.
std::string with_spaces(std::string_view text);

class SentencePieceModel {
 public:
  // `pieces` are views of vocabulary.tokens. Requires: both outlive this object; the vocabulary is
  // valid (Tokenizer::create checks it).
  SentencePieceModel(const Vocabulary& vocabulary, std::span<const std::string_view> pieces);

  // Appends the tokens of `text`, whose spaces are already U+2581; any bytes are allowed.
  void encode(std::string_view text, Merger& scratch, std::vector<TokenId>& out) const;

 private:
  void encode_stretch(std::string_view text, Merger& scratch, std::vector<TokenId>& out) const;
  void append_bytes(std::string_view bytes, std::vector<TokenId>& out) const;
  std::optional<Joined> join_text(std::string_view text) const;

  PieceIndex index_;  // what merging may produce: no control, unknown or byte token
  std::vector<uint32_t>
      ranks_;  // [V] by score: equal scores, equal ranks; empty if there are rules
  std::optional<MergeRules> rules_;
  std::array<TokenId, 256> bytes_;  // kNoToken where there is no byte token
  TokenId unknown_ = kNoToken;
  bool cuts_at_marks_ = false;  // no piece has a space mark behind another character
};

}  // namespace inferno::token
