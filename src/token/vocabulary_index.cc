#include "token/vocabulary_index.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>

namespace inferno::token {
namespace {

constexpr TokenId kFreeSlot = -1;

}  // namespace

PieceIndex::PieceIndex(std::span<const std::string_view> pieces)
    : pieces_(pieces), slots_(std::bit_ceil(2 * pieces.size() + 1), kFreeSlot) {}

void PieceIndex::insert(TokenId id) {
  const std::string_view piece = pieces_[static_cast<size_t>(id)];
  if (piece.empty()) return;
  const size_t slot = slot_of(piece);
  if (slots_[slot] != kFreeSlot) return;
  slots_[slot] = id;
  longest_ = std::max(longest_, piece.size());
}

std::optional<TokenId> PieceIndex::find(std::string_view piece) const {
  if (piece.empty() || piece.size() > longest_) return std::nullopt;
  const TokenId id = slots_[slot_of(piece)];
  if (id == kFreeSlot) return std::nullopt;
  return id;
}

// The slot that holds `piece`, or the free one where it would go.
size_t PieceIndex::slot_of(std::string_view piece) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = XXH3_64bits(piece.data(), piece.size()) & mask;
  while (slots_[slot] != kFreeSlot && pieces_[static_cast<size_t>(slots_[slot])] != piece) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

}  // namespace inferno::token
