#include "token/detokenizer.h"

#include "token/unicode.h"

namespace inferno::token {

Detokenizer::Detokenizer(const Tokenizer& tokenizer, DecodeOptions options)
    : tokenizer_(&tokenizer),
      options_(options),
      drop_space_(options.starts_text && tokenizer.strips_leading_space()) {}

std::string Detokenizer::push(TokenId token) {
  std::string_view bytes = tokenizer_->piece_bytes(token, options_);
  if (bytes.empty()) return {};
  if (drop_space_ && bytes.front() == ' ') bytes.remove_prefix(1);
  drop_space_ = false;
  std::string text;
  if (pending_.empty()) {
    pending_ = bytes.substr(append_repaired(bytes, text));
  } else {
    pending_ += bytes;
    pending_.erase(0, append_repaired(pending_, text));
  }
  return text;
}

std::string Detokenizer::finish() {
  std::string text(pending_.empty() ? std::string_view() : kReplacementCharacter);
  pending_.clear();
  drop_space_ = options_.starts_text && tokenizer_->strips_leading_space();
  return text;
}

}  // namespace inferno::token
