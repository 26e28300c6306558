// Byte-level BPE: a word's bytes are the first symbols; merge rules join them (GPT-2, Llama 3,
// Qwen).
//
// Every byte has a token in a sound vocabulary, so every text can be spelled and comes back as it
// was.
//
// Threads: immutable once built. Cost: O(n log n) in the bytes of a word.
#pragma once

#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "token/bpe.h"
#include "token/vocabulary.h"
#include "token/vocabulary_index.h"

namespace inferno::token {

class ByteLevelModel {
 public:
  // `pieces` are views of vocabulary.tokens, `index` finds them, `bytes` are what each stands for.
  // Rules that name no token are left out. Requires: all outlive this object but `index`.
  struct Parts {
    const Vocabulary& vocabulary;
    const PieceIndex& index;
    std::span<const std::string_view> bytes;
  };
  explicit ByteLevelModel(const Parts& parts);

  // Appends the tokens of one word; any bytes are allowed. A byte without a token becomes the
  // unknown token, or nothing when there is none.
  void encode(std::string_view word, Merger& scratch, std::vector<TokenId>& out) const;

 private:
  MergeRules rules_;
  std::array<TokenId, 256> bytes_;
  PieceIndex words_;  // by bytes, if whole words go before merging (ignore_merges); else empty
  TokenId unknown_ = kNoToken;
};

}  // namespace inferno::token
