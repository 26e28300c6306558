#include "token/sentencepiece.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "token/unicode.h"

namespace inferno::token {
namespace {

bool can_be_merged_to(TokenType type) {
  return type != TokenType::kControl && type != TokenType::kUnknown && type != TokenType::kByte;
}

// Whether a piece goes on after a character with a space mark, as in "a_b": then merging may cross
// the beginning of a word.
bool has_inner_mark(std::string_view piece) {
  bool after_character = false;
  while (!piece.empty()) {
    if (piece.starts_with(kSpaceMark)) {
      if (after_character) return true;
      piece.remove_prefix(kSpaceMark.size());
    } else {
      after_character = true;
      piece.remove_prefix(1);
    }
  }
  return false;
}

// The rank of each token: 0 for the highest score; equal scores share a rank, so that the leftmost
// goes first.
std::vector<uint32_t> ranks_of(std::span<const float> scores) {
  std::vector<uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, [&](uint32_t a, uint32_t b) { return scores[a] > scores[b]; });
  std::vector<uint32_t> ranks(scores.size());
  uint32_t rank = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && scores[order[i]] != scores[order[i - 1]]) ++rank;
    ranks[order[i]] = rank;
  }
  return ranks;
}

MergeRules rules_of(const Vocabulary& vocabulary, const PieceIndex& index) {
  MergeRules rules(vocabulary.merges.size());
  uint32_t rank = 0;
  for (const Merge& merge : vocabulary.merges) {
    const auto left = index.find(merge.left);
    const auto right = index.find(merge.right);
    const auto joined = index.find(merge.left + merge.right);
    if (left && right && joined) rules.add(*left, *right, {rank, *joined});
    ++rank;
  }
  return rules;
}

}  // namespace

std::string with_spaces(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t mark = std::min(text.find(kSpaceMark), text.size());
    out += text.substr(0, mark);
    text.remove_prefix(mark);
    if (text.empty()) break;
    out += ' ';
    text.remove_prefix(kSpaceMark.size());
  }
  return out;
}

SentencePieceModel::SentencePieceModel(const Vocabulary& vocabulary,
                                       std::span<const std::string_view> pieces)
    : index_(pieces), unknown_(vocabulary.unk.value_or(kNoToken)) {
  const auto type_of = [&](size_t id) {
    return vocabulary.types.empty() ? TokenType::kNormal : vocabulary.types[id];
  };
  cuts_at_marks_ = true;
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (!can_be_merged_to(type_of(id))) continue;
    index_.insert(static_cast<TokenId>(id));
    if (has_inner_mark(pieces[id])) cuts_at_marks_ = false;
  }
  PieceIndex spelled(pieces);  // a file without types has byte tokens, too
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (type_of(id) == TokenType::kByte || type_of(id) == TokenType::kNormal) {
      spelled.insert(static_cast<TokenId>(id));
    }
  }
  for (int byte = 0; byte < 256; ++byte) {
    bytes_[static_cast<size_t>(byte)] =
        spelled.find(fmt::format("<0x{:02X}>", byte)).value_or(kNoToken);
  }
  if (vocabulary.merges.empty()) {
    ranks_ = ranks_of(vocabulary.scores);
  } else {
    rules_ = rules_of(vocabulary, index_);
  }
}

void SentencePieceModel::encode(std::string_view text, Merger& scratch,
                                std::vector<TokenId>& out) const {
  while (!text.empty()) {
    // A stretch is marks, then characters up to the next mark.
    size_t end = text.size();
    if (cuts_at_marks_) {
      size_t word = 0;
      while (text.substr(word).starts_with(kSpaceMark))
        word += kSpaceMark.size();
      end = std::min(text.find(kSpaceMark, word), text.size());
    }
    encode_stretch(text.substr(0, end), scratch, out);
    text.remove_prefix(end);
  }
}

void SentencePieceModel::encode_stretch(std::string_view text, Merger& scratch,
                                        std::vector<TokenId>& out) const {
  std::vector<Symbol>& symbols = scratch.symbols;
  symbols.clear();
  for (size_t begin = 0; begin < text.size();) {
    const Utf8Char character = decode_utf8(text.substr(begin));
    const std::string_view piece = text.substr(begin, character.size);
    symbols.push_back({index_.find(piece).value_or(kNoToken), static_cast<uint32_t>(begin),
                       static_cast<uint32_t>(piece.size())});
    begin += piece.size();
  }
  if (rules_) {
    scratch.merge(
        [&](const Symbol& left, const Symbol& right) { return rules_->find(left.id, right.id); });
  } else {
    scratch.merge([&](const Symbol& left, const Symbol& right) {
      return join_text(text.substr(left.begin, size_t{left.size} + right.size));
    });
  }
  for (const Symbol& symbol : symbols) {
    if (symbol.id != kNoToken) {
      out.push_back(symbol.id);
    } else {
      append_bytes(text.substr(symbol.begin, symbol.size), out);
    }
  }
}

std::optional<Joined> SentencePieceModel::join_text(std::string_view text) const {
  const std::optional<TokenId> id = index_.find(text);
  if (!id) return std::nullopt;
  return Joined{ranks_[static_cast<size_t>(*id)], *id};
}

// Spells bytes in byte tokens; what has none is the unknown token, once for a run of such bytes.
void SentencePieceModel::append_bytes(std::string_view bytes, std::vector<TokenId>& out) const {
  for (const char byte : bytes) {
    const TokenId id = bytes_[static_cast<uint8_t>(byte)];
    if (id != kNoToken) {
      out.push_back(id);
    } else if (unknown_ != kNoToken && (out.empty() || out.back() != unknown_)) {
      out.push_back(unknown_);
    }
  }
}

}  // namespace inferno::token
