#include "token/tokenizer.h"

#include <algorithm>
#include <utility>

#include "token/bpe_byte_level.h"
#include "token/pretokenizer.h"
#include "token/pretokenizer_table.h"
#include "token/sentencepiece.h"
#include "token/tokenizer_special.h"
#include "token/tokenizer_tables.h"
#include "token/unicode.h"
#include "token/unicode_normalize.h"

namespace inferno::token {
namespace {

// Where a fragment of the text stands.
enum class Place : uint8_t { kBeginning, kBehindSpecial };

// One call of encode().
class Encoding {
 public:
  explicit Encoding(const TokenizerTables& tables) : tables_(tables) {}

  // Cuts special tokens out of `text` and encodes what is between.
  void run(std::string_view text, SpecialKind kind) {
    size_t done = 0;
    Place place = Place::kBeginning;
    while (const auto match = tables_.special.find(text, done, kind)) {
      std::string_view before = text.substr(done, match->begin - done);
      if (tables_.has(match->token, kStripsLeft)) {
        before.remove_suffix(trailing_white_space(before));
      }
      encode_fragment(before, place);
      tokens.push_back(match->token);
      done = match->begin + match->size;
      if (tables_.has(match->token, kStripsRight)) done += leading_white_space(text.substr(done));
      place = Place::kBehindSpecial;
    }
    encode_fragment(text.substr(done), place);
  }

  std::vector<TokenId> tokens;

 private:
  // Encodes text that holds no special token.
  void encode_fragment(std::string_view text, Place place) {
    if (text.empty()) return;
    std::string normalized;
    if (tables_.normalizes) {
      normalized = normalize(text, place);
      text = normalized;
    }
    if (tables_.pre_tokenizer == nullptr) {
      encode_word(text);
      return;
    }
    // Expressions only see UTF-8; other bytes are words of their own.
    while (!text.empty()) {
      const size_t valid = valid_utf8_prefix(text);
      for (const std::string_view word : tables_.pre_tokenizer->split(text.substr(0, valid))) {
        encode_word(word);
      }
      text.remove_prefix(valid);
      size_t invalid = 0;
      while (invalid < text.size()) {
        const Utf8Char next = decode_utf8(text.substr(invalid));
        if (next.state == Utf8State::kValid) break;
        invalid += next.size;
      }
      encode_word(text.substr(0, invalid));
      text.remove_prefix(invalid);
    }
  }

  void encode_word(std::string_view word) {
    if (word.empty()) return;
    if (tables_.byte_level) {
      tables_.byte_level->encode(word, scratch_, tokens);
    } else if (tables_.word_piece) {
      tables_.word_piece->encode(word, tokens);
    } else {
      tables_.sentence_piece->encode(word, scratch_, tokens);
    }
  }

  // Puts the space in front, where the vocabulary wants one, and spells spaces as it does.
  std::string normalize(std::string_view text, Place place) const {
    const Vocabulary& vocabulary = tables_.vocabulary;
    std::string composed;
    if (vocabulary.normalize_nfc) {
      composed = to_nfc(text);
      text = composed;
    }
    std::string out;
    const bool prefix = vocabulary.add_space_prefix &&
                        (place == Place::kBeginning || vocabulary.space_prefix_after_special);
    if (!tables_.escapes_spaces) {
      if (prefix && !text.starts_with(' ')) out += ' ';
      out += text;
      return out;
    }
    const bool tidy = vocabulary.remove_extra_whitespaces;
    if (tidy) {
      text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
      text = text.substr(0, text.find_last_not_of(' ') + 1);
      if (text.empty()) return out;
    }
    if (prefix) out += kSpaceMark;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != ' ') {
        out += text[i];
      } else if (!tidy || text[i - 1] != ' ') {
        out += kSpaceMark;
      }
    }
    return out;
  }

  const TokenizerTables& tables_;
  Merger scratch_;
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::create(Vocabulary vocabulary) {
  Result<std::unique_ptr<TokenizerTables>> tables = build_tables(std::move(vocabulary));
  if (!tables) return std::unexpected(tables.error());
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(*tables)));
}

Tokenizer::Tokenizer(std::unique_ptr<TokenizerTables> tables) : tables_(std::move(tables)) {}
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  Encoding encoding(*tables_);
  if (options.add_special && tables_->begin) encoding.tokens.push_back(*tables_->begin);
  const SpecialKind kind = options.parse_special ? SpecialKind::kOnRequest : SpecialKind::kAlways;
  // A mark in the text is a space, as in SentencePiece, whose user-defined pieces may be runs of
  // them.
  if (tables_->escapes_spaces && text.find(kSpaceMark) != std::string_view::npos) {
    encoding.run(with_spaces(text), kind);
  } else {
    encoding.run(text, kind);
  }
  if (options.add_special && tables_->end) encoding.tokens.push_back(*tables_->end);
  return std::move(encoding.tokens);
}

std::string Tokenizer::decode(std::span<const TokenId> tokens, DecodeOptions options) const {
  std::string bytes;
  for (const TokenId token : tokens)
    bytes += piece_bytes(token, options);
  std::string_view text = bytes;
  if (options.starts_text && strips_leading_space() && text.starts_with(' ')) text.remove_prefix(1);
  std::string repaired;
  repaired.reserve(text.size());
  if (append_repaired(text, repaired) < text.size()) repaired += kReplacementCharacter;
  return repaired;
}

std::string_view Tokenizer::piece_bytes(TokenId token, DecodeOptions options) const {
  if (token < 0 || token >= vocab_size()) return {};
  if (options.skip_special && is_special(token)) return {};
  return tables_->rendered[static_cast<size_t>(token)];
}

int Tokenizer::vocab_size() const {
  return static_cast<int>(tables_->vocabulary.tokens.size());
}

bool Tokenizer::is_special(TokenId token) const {
  return tables_->has(token, kSpecial);
}

bool Tokenizer::is_end_of_generation(TokenId token) const {
  return tables_->has(token, kEnds);
}

std::optional<TokenId> Tokenizer::find(std::string_view piece) const {
  return tables_->index.find(piece);
}

const Vocabulary& Tokenizer::vocabulary() const {
  return tables_->vocabulary;
}

bool Tokenizer::strips_leading_space() const {
  return tables_->strips_leading_space;
}

uint64_t Tokenizer::degraded_splits() const {
  return tables_->pre_tokenizer ? tables_->pre_tokenizer->degraded_splits() : 0;
}

}  // namespace inferno::token
