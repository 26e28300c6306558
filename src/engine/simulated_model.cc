#include "engine/simulated_model.h"

#include <cmath>

#include "base/check.h"

namespace inferno::engine {

void SimulatedModel::forward(std::span<const model::ForwardPiece> pieces) {
  int64_t decode_rows = 0;
  int64_t prefill_tokens = 0;
  int64_t kv_positions = 0;
  for (const model::ForwardPiece& piece : pieces) {
    const auto count = static_cast<int64_t>(piece.tokens.size());
    (count == 1 ? decode_rows : prefill_tokens) += count;
    // Each token reads all positions before it.
    kv_positions += count * piece.first_position + count * (count + 1) / 2;
  }
  const double seconds = cost_.fixed_s + cost_.decode_row_s * static_cast<double>(decode_rows) +
                         cost_.prefill_token_s * static_cast<double>(prefill_tokens) +
                         cost_.kv_position_s * static_cast<double>(kv_positions);
  clock_.advance(seconds * std::exp(cost_.noise * normal_(random_)));
  ++step_count_;
  computed_tokens_ += decode_rows + prefill_tokens;
}

void SimulatedModel::logits(std::span<const int> rows, float* out) {
  for (size_t i = 0; i < rows.size(); ++i) {
    *out++ = 1.0f;
    *out++ = 0.0f;
  }
}

std::unique_ptr<token::Tokenizer> simulated_tokenizer() {
  token::Vocabulary vocabulary;
  vocabulary.tokens = {"a", "<|end|>"};
  vocabulary.types = {token::TokenType::kNormal, token::TokenType::kControl};
  vocabulary.eos = 1;
  vocabulary.pre_tokenizer = "gpt-2";
  auto tokenizer = token::Tokenizer::create(std::move(vocabulary));
  CHECK(tokenizer.has_value(), "the simulated vocabulary is refused: {}",
        tokenizer.error().message);
  return std::move(*tokenizer);
}

}  // namespace inferno::engine
