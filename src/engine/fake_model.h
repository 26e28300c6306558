// For tests: a model that computes nothing but remembers everything, and a vocabulary of letters.
//
// Its "KV" of a position is the token there, kept by page, so that a wrong page table, a page
// overwritten too early or a prefix shared in error changes what it says next: logits are a hash of
// all tokens from the first on, read through the pages.
//
// It has four layers. Tokens come to the pages with the last one; a piece that is carried has to
// come back as it was, where it was, or the layers are not what computed it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/check.h"
#include "model/forward_pass.h"
#include "token/tokenizer.h"

namespace inferno::engine {

class FakeModel : public model::ForwardPass {
 public:
  explicit FakeModel(int page_count)
      : kv_(static_cast<size_t>(page_count) * 16, -1), carried_(kv_.size()) {}

  void forward(std::span<const model::ForwardPiece> pieces) override {
    hashes_.clear();
    largest_batch_ = std::max(largest_batch_, static_cast<int>(pieces.size()));
    for (const model::ForwardPiece& piece : pieces) {
      const int end = piece.first_position + static_cast<int>(piece.tokens.size());
      if (piece.layers.begin > 0) take_up(piece);
      if (piece.layers.end < kLayers) {
        keep(piece);
        hashes_.insert(hashes_.end(), piece.tokens.size(), kNoHash);
        continue;
      }
      for (int position = piece.first_position; position < end; ++position) {
        at(piece, position) = piece.tokens[static_cast<size_t>(position - piece.first_position)];
        ++computed_tokens_;
      }
      uint64_t hash = 1469598103934665603ULL;
      for (int position = 0; position < end; ++position) {
        hash = (hash ^ static_cast<uint64_t>(at(piece, position))) * 1099511628211ULL;
        if (position >= piece.first_position) hashes_.push_back(hash);
      }
    }
  }

  void logits(std::span<const int> rows, float* out) override {
    for (const int row : rows) {
      uint64_t state = hashes_[static_cast<size_t>(row)];
      CHECK(state != kNoHash, "logits of row {}, which has layers before it", row);
      for (int token = 0; token < vocab_size(); ++token) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        *out++ = static_cast<float>(state >> 40) / static_cast<float>(1 << 22);
      }
    }
  }

  void copy_page(PageId from, PageId to) override {
    std::copy_n(kv_.begin() + from.value * 16, 16, kv_.begin() + to.value * 16);
    ++copied_pages_;
  }

  int layer_count() const override { return kLayers; }
  int vocab_size() const override { return 27; }
  int max_logit_rows() const override { return 5; }
  int64_t computed_tokens() const { return computed_tokens_; }
  int64_t carried_pieces() const { return carried_pieces_; }  // that were taken on by a later call
  int largest_batch() const { return largest_batch_; }
  int copied_pages() const { return copied_pages_; }

 private:
  static constexpr int kLayers = 4;
  static constexpr uint64_t kNoHash = 0;

  // A piece between two calls; of no layers when there is none.
  struct Carried {
    uint64_t hash = 0;
    int first_position = 0;
    int layers = 0;
  };

  static uint64_t hash_of(std::span<const TokenId> tokens) {
    uint64_t hash = tokens.size();
    for (const TokenId token : tokens)
      hash = (hash ^ static_cast<uint64_t>(token)) * 1099511628211ULL;
    return hash;
  }

  // Takes it up where the last call left it.
  void take_up(const model::ForwardPiece& piece) {
    Carried& carried = carried_.at(static_cast<size_t>(piece.carry_row));
    CHECK(carried.layers == piece.layers.begin && carried.first_position == piece.first_position &&
              carried.hash == hash_of(piece.tokens),
          "row {} was carried from {} on to layer {}, now from {} on at {}", piece.carry_row,
          carried.first_position, carried.layers, piece.first_position, piece.layers.begin);
    carried.layers = 0;
    ++carried_pieces_;
  }

  void keep(const model::ForwardPiece& piece) {
    CHECK(piece.layers.begin < piece.layers.end, "layers {} to {}", piece.layers.begin,
          piece.layers.end);
    carried_.at(static_cast<size_t>(piece.carry_row)) = {.hash = hash_of(piece.tokens),
                                                         .first_position = piece.first_position,
                                                         .layers = piece.layers.end};
  }

  TokenId& at(const model::ForwardPiece& piece, int position) {
    const uint32_t page = piece.pages[static_cast<size_t>(position / 16)];
    return kv_[static_cast<size_t>(page) * 16 + static_cast<size_t>(position % 16)];
  }

  std::vector<TokenId> kv_;
  std::vector<uint64_t> hashes_;
  std::vector<Carried> carried_;  // by row
  int64_t computed_tokens_ = 0;
  int64_t carried_pieces_ = 0;
  int largest_batch_ = 0;
  int copied_pages_ = 0;
};

// 'a' to 'z', and token 26 that ends an answer.
inline std::unique_ptr<token::Tokenizer> letter_tokenizer() {
  token::Vocabulary vocabulary;
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    vocabulary.tokens.emplace_back(1, letter);
    vocabulary.types.push_back(token::TokenType::kNormal);
  }
  vocabulary.tokens.emplace_back("<|end|>");
  vocabulary.types.push_back(token::TokenType::kControl);
  vocabulary.eos = 26;
  vocabulary.pre_tokenizer = "gpt-2";
  auto tokenizer = token::Tokenizer::create(std::move(vocabulary));
  return tokenizer ? std::move(*tokenizer) : nullptr;
}

}  // namespace inferno::engine
