// For tests: a model that computes nothing but remembers everything, and a vocabulary of letters.
//
// Its "KV" of a position is the token there, kept by page, so that a wrong page table, a page
// overwritten too early or a prefix shared in error changes what it says next: logits are a hash of
// all tokens from the first on, read through the pages.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "model/forward_pass.h"
#include "token/tokenizer.h"

namespace inferno::engine {

class FakeModel : public model::ForwardPass {
 public:
  explicit FakeModel(int page_count) : kv_(static_cast<size_t>(page_count) * 16, -1) {}

  void forward(std::span<const model::ForwardPiece> pieces) override {
    hashes_.clear();
    largest_batch_ = std::max(largest_batch_, static_cast<int>(pieces.size()));
    for (const model::ForwardPiece& piece : pieces) {
      const int end = piece.first_position + static_cast<int>(piece.tokens.size());
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

  int vocab_size() const override { return 27; }
  int max_logit_rows() const override { return 5; }
  int64_t computed_tokens() const { return computed_tokens_; }
  int largest_batch() const { return largest_batch_; }
  int copied_pages() const { return copied_pages_; }

 private:
  TokenId& at(const model::ForwardPiece& piece, int position) {
    const uint32_t page = piece.pages[static_cast<size_t>(position / 16)];
    return kv_[static_cast<size_t>(page) * 16 + static_cast<size_t>(position % 16)];
  }

  std::vector<TokenId> kv_;
  std::vector<uint64_t> hashes_;
  int64_t computed_tokens_ = 0;
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
