#include "token/wordpiece.h"

#include <algorithm>

#include "token/sentencepiece.h"
#include "token/unicode.h"
#include "token/unicode_normalize.h"

namespace inferno::token {
namespace {

// Longer words are unknown (tokenization.py, max_input_chars_per_word of published vocabularies).
constexpr size_t kMaxWordChars = 100;

// Characters that are words of their own: the blocks of CJK ideographs that tokenization.py lists,
// up to the bounds that Hugging Face's BertNormalizer has.
bool is_ideograph(char32_t code) {
  return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
         (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B73F) ||
         (code >= 0x2B740 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
         (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x2F800 && code <= 0x2FA1F);
}

bool is_dropped(char32_t code) {
  return code == 0 || code == 0xFFFD || (is_control(code) && !is_white_space(code));
}

size_t count_chars(std::string_view word) {
  return static_cast<size_t>(std::ranges::count_if(
      word, [](char byte) { return (static_cast<uint8_t>(byte) & 0xC0) != 0x80; }));
}

}  // namespace

std::vector<std::string> split_bert_words(std::string_view text, LetterCase letters) {
  std::string clean;
  if (append_repaired(text, clean) < text.size()) clean += kReplacementCharacter;
  std::u32string codes;
  if (letters == LetterCase::kLowered) {
    codes = to_nfd(clean);
  } else {
    for (std::string_view rest = clean; !rest.empty();) {
      const Utf8Char next = decode_utf8(rest);
      codes += next.code;
      rest.remove_prefix(next.size);
    }
  }
  std::vector<std::string> words;
  std::string word;
  const auto flush = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (char32_t code : codes) {
    if (is_dropped(code)) continue;
    if (is_white_space(code)) {
      flush();
      continue;
    }
    if (letters == LetterCase::kLowered) {
      if (is_nonspacing_mark(code)) continue;
      code = to_lower(code);
    }
    const bool alone = is_ideograph(code) || is_punctuation(code);
    if (alone) flush();
    append_utf8(code, word);
    if (alone) flush();
  }
  flush();
  return words;
}

WordPieceModel::WordPieceModel(const Vocabulary& vocabulary,
                               std::span<const std::string_view> pieces)
    : index_(pieces), unknown_(vocabulary.unk), lowercase_(vocabulary.lowercase) {
  for (size_t id = 0; id < pieces.size(); ++id) {
    const TokenType type = vocabulary.types.empty() ? TokenType::kNormal : vocabulary.types[id];
    if (type == TokenType::kControl || type == TokenType::kUnknown) continue;
    index_.insert(static_cast<TokenId>(id));
  }
}

void WordPieceModel::encode(std::string_view text, std::vector<TokenId>& out) const {
  const LetterCase letters = lowercase_ ? LetterCase::kLowered : LetterCase::kKept;
  for (const std::string& word : split_bert_words(text, letters))
    encode_word(word, out);
}

void WordPieceModel::encode_word(std::string_view word, std::vector<TokenId>& out) const {
  const size_t before = out.size();
  const std::string marked = std::string(kSpaceMark) + std::string(word);
  std::string_view rest = marked;
  if (count_chars(word) > kMaxWordChars) rest = {};
  while (!rest.empty()) {
    std::optional<TokenId> piece;
    size_t size = std::min(rest.size(), index_.longest());
    for (; size > 0 && !piece; --size)
      piece = index_.find(rest.substr(0, size));
    if (!piece) break;
    out.push_back(*piece);
    rest.remove_prefix(size + 1);
  }
  if (rest.empty() && out.size() > before) return;
  out.resize(before);
  if (unknown_) out.push_back(*unknown_);
}

}  // namespace inferno::token
