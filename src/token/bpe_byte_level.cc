#include "token/bpe_byte_level.h"

#include "token/bpe_bytes.h"

namespace inferno::token {

ByteLevelModel::ByteLevelModel(const Parts& parts)
    : rules_(parts.vocabulary.merges.size()), unknown_(parts.vocabulary.unk.value_or(kNoToken)) {
  const Vocabulary& vocabulary = parts.vocabulary;
  uint32_t rank = 0;
  for (const Merge& merge : vocabulary.merges) {
    const auto left = parts.index.find(merge.left);
    const auto right = parts.index.find(merge.right);
    const auto joined = parts.index.find(merge.left + merge.right);
    if (left && right && joined) rules_.add(*left, *right, {rank, *joined});
    ++rank;
  }
  for (size_t byte = 0; byte < bytes_.size(); ++byte) {
    const char character = static_cast<char>(byte);
    bytes_[byte] = parts.index.find(piece_of_bytes({&character, 1})).value_or(kNoToken);
  }
  if (!vocabulary.ignore_merges) return;
  words_ = PieceIndex(parts.bytes);
  for (size_t id = 0; id < parts.bytes.size(); ++id) {
    const TokenType type = vocabulary.types.empty() ? TokenType::kNormal : vocabulary.types[id];
    if (type == TokenType::kNormal || type == TokenType::kUndefined) {
      words_.insert(static_cast<TokenId>(id));
    }
  }
}

void ByteLevelModel::encode(std::string_view word, Merger& scratch,
                            std::vector<TokenId>& out) const {
  if (const std::optional<TokenId> whole = words_.find(word)) {
    out.push_back(*whole);
    return;
  }
  std::vector<Symbol>& symbols = scratch.symbols;
  symbols.clear();
  for (size_t i = 0; i < word.size(); ++i) {
    symbols.push_back({bytes_[static_cast<uint8_t>(word[i])], static_cast<uint32_t>(i), 1});
  }
  scratch.merge(
      [&](const Symbol& left, const Symbol& right) { return rules_.find(left.id, right.id); });
  for (const Symbol& symbol : symbols) {
    const TokenId id = symbol.id == kNoToken ? unknown_ : symbol.id;
    if (id != kNoToken) out.push_back(id);
  }
}

}  // namespace inferno::token
