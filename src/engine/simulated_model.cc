#include "engine/simulated_model.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace inferno::engine {

void SimulatedModel::forward(std::span<const model::ForwardPiece> pieces) {
  double seconds = cost_.fixed_s;
  for (const model::ForwardPiece& piece : pieces) {
    const auto count = static_cast<double>(piece.tokens.size());
    const int layers_end = std::min(piece.layers.end, kLayerCount);
    // Each token reads all positions before it.
    const double positions = count * piece.first_position + count * (count + 1) / 2;
    const double share = static_cast<double>(layers_end - piece.layers.begin) / kLayerCount;
    seconds += share * (count * (count == 1 ? cost_.decode_row_s : cost_.prefill_token_s) +
                        positions * cost_.kv_position_s);
    if (layers_end == kLayerCount) computed_tokens_ += static_cast<int64_t>(piece.tokens.size());
  }
  clock_.advance(seconds * std::exp(cost_.noise * normal_(random_)));
  ++step_count_;
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
