// PieceIndex: from a piece's bytes to its id; open addressing over strings that live elsewhere.
//
// Threads: immutable once filled. Cost: one hash of the piece and about one comparison; 4 bytes a
//          slot, at least
// two slots a piece.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace inferno::token {

class PieceIndex {
 public:
  PieceIndex() = default;

  // Keys will be pieces[id]. Requires: `pieces` outlives this object.
  explicit PieceIndex(std::span<const std::string_view> pieces);

  // Makes pieces[id] findable, unless it is empty or an equal piece already is.
  void insert(TokenId id);

  // None if no inserted piece equals `piece`.
  std::optional<TokenId> find(std::string_view piece) const;

  // Bytes of the longest inserted piece.
  size_t longest() const { return longest_; }

 private:
  size_t slot_of(std::string_view piece) const;

  std::span<const std::string_view> pieces_;
  std::vector<TokenId> slots_;  // -1: free
  size_t longest_ = 0;
};

}  // namespace inferno::token
