// Finds special tokens spelled in a text: leftmost first, the longest of those that begin at one
// place.
//
// A trie over the pieces of user-defined tokens (always matched) and control tokens (matched on
// request).
//
// Threads: immutable once filled. Cost: O(n + matched bytes) for usual text; at most the longest
//          piece a byte.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ids.h"

namespace inferno::token {

enum class SpecialKind : uint8_t {
  kAlways,     // matched in every text
  kOnRequest,  // matched only where the caller parses special tokens
};

class SpecialMatcher {
 public:
  struct Match {
    size_t begin = 0;
    size_t size = 0;
    TokenId token = 0;
  };

  SpecialMatcher();

  // Adds a spelling; the first of two tokens with the same one stays. An empty one is ignored.
  void add(std::string_view spelling, TokenId token, SpecialKind kind);

  // The first match at or behind `from`; none if there is no more. kOnRequest looks for both kinds.
  std::optional<Match> find(std::string_view text, size_t from, SpecialKind kind) const;

 private:
  struct Node {
    TokenId token = -1;  // -1: no spelling ends here
    SpecialKind kind = SpecialKind::kAlways;
  };
  std::optional<uint32_t> child(uint32_t node, char byte) const;

  std::vector<Node> nodes_;                       // [0] is the root
  std::unordered_map<uint64_t, uint32_t> edges_;  // node << 8 | byte -> node
  std::array<bool, 256> begins_{};                // bytes that begin a spelling
};

}  // namespace inferno::token
