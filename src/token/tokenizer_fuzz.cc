// Any bytes as text, for each kind of vocabulary: nothing crashes, and the tokens' bytes are the
// text.
#include <cstdlib>
#include <string>
#include <string_view>

#include "token/bpe_bytes.h"
#include "token/detokenizer.h"
#include "token/tokenizer.h"
#include "token/unicode_normalize.h"

namespace inferno::token {
namespace {

Vocabulary byte_level() {
  Vocabulary vocabulary;
  vocabulary.pre_tokenizer = "gpt-4o";
  for (int byte = 0; byte < 256; ++byte) {
    const char character = static_cast<char>(byte);
    vocabulary.tokens.push_back(piece_of_bytes({&character, 1}));
  }
  for (const std::string_view pair : {"th", "he", "  ", "aa", "\xE4\xB8"}) {
    vocabulary.merges.push_back(
        {piece_of_bytes(pair.substr(0, 1)), piece_of_bytes(pair.substr(1))});
    vocabulary.tokens.push_back(piece_of_bytes(pair));
  }
  vocabulary.types.assign(vocabulary.tokens.size(), TokenType::kNormal);
  vocabulary.tokens.insert(vocabulary.tokens.end(), {"<|im_end|>", "<t>"});
  vocabulary.types.insert(vocabulary.types.end(), {TokenType::kControl, TokenType::kUserDefined});
  return vocabulary;
}

Vocabulary sentence_piece() {
  Vocabulary vocabulary;
  vocabulary.kind = VocabularyKind::kSentencePieceBpe;
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    vocabulary.tokens.push_back(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + '>');
  }
  vocabulary.types.assign(256, TokenType::kByte);
  for (const char* piece : {"\u2581", "a", "t", "h", "th", "\u2581th", "\u2581\u2581", "aa"}) {
    vocabulary.tokens.emplace_back(piece);
    vocabulary.types.push_back(TokenType::kNormal);
  }
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    vocabulary.scores.push_back(-static_cast<float>(id));
  }
  return vocabulary;
}

void require(bool holds) {
  if (!holds) std::abort();
}

void try_text(const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<TokenId> ids = tokenizer.encode(text, {.add_special = false});
  std::string bytes;
  Detokenizer detokenizer(tokenizer);
  std::string streamed;
  for (const TokenId id : ids) {
    require(!tokenizer.is_special(id));
    bytes += tokenizer.piece_bytes(id);
    streamed += detokenizer.push(id);
  }
  streamed += detokenizer.finish();
  const bool marked = text.find("\u2581") != std::string_view::npos;  // comes back as a space
  require(bytes == text ||
          (marked && tokenizer.vocabulary().kind == VocabularyKind::kSentencePieceBpe));
  require(streamed == tokenizer.decode(ids));
  tokenizer.encode(text, {.add_special = true, .parse_special = true});
}

}  // namespace
}  // namespace inferno::token

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace inferno::token;
  static const auto* const tokenizers = new std::unique_ptr<Tokenizer>[2]{
      Tokenizer::create(byte_level()).value(), Tokenizer::create(sentence_piece()).value()};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (int i = 0; i < 2; ++i)
    try_text(*tokenizers[i], text);
  to_nfc(text);
  return 0;
}
