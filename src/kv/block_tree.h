// Which blocks continue a block, and with which tokens: what is left to find where the name of a
// whole block (kv/prefix_index.h) finds nothing.
//
//   root --+-- [ The capital of ... ] --+-- [ France ... ]     a block, full
//          |                            +-- [ Fra )            a tail: partly filled, none after it
//          +-- [ Once upon a ...    ]
//
// The children of a block stand in one list, the one used last first. Of a list only the first
// kMostLooked are ever looked at: a root may have as many children as there are pages.
//
// Invariant: the parent of a page in the tree is in the tree; a tail has no children.
// Threads:   belongs to the engine thread, inside the pool.
// Cost:      O(1) a call, a search up to kMostLooked comparisons of 16 tokens; no allocation after
//            construction.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "kv/prefix_index.h"
#include "token/block_hash.h"

namespace inferno::kv {

// Positions in a page.
inline constexpr int kPageTokens = 16;

// What a block continues: the block in a page or, when it is the first of its chain, the root that
// its hash starts from.
struct Predecessor {
  std::optional<PageId> page;
  token::BlockHash root{};
};

class BlockTree {
 public:
  // More children are rare but for roots, where each that is looked at may be a cache miss: so many
  // take some microseconds, for each page that is named and each request that looks for its own.
  static constexpr int kMostLooked = 32;

  // A page that begins with the tokens looked for.
  struct Match {
    PageId page;
    int tokens = 0;  // so many of them, at least 1
    friend bool operator==(const Match&, const Match&) = default;
  };

  // Room for pages 0 to capacity - 1.
  explicit BlockTree(int capacity);

  // Adds a page as the first child. `tokens`: all that it holds; none, and nothing matches it.
  // Requires: it is not in the tree, a page that it continues is; at most kPageTokens tokens.
  void insert(PageId page, const Predecessor& after, std::span<const TokenId> tokens);

  // Requires: the page is in the tree and has no children.
  void erase(PageId page);

  // Makes a page the first child of what it continues. Requires: it is in the tree.
  void bring_forward(PageId page);

  // The page that `page` continues; none: a root.
  std::optional<PageId> parent_of(PageId page) const;

  // Whether another page continues `page`.
  bool has_children(PageId page) const { return nodes_[page.value].first_child != kNone; }

  // Whether a page of the tree is partly filled.
  bool is_tail(PageId page) const;

  // The child that agrees longest with what comes after `after`; of equals, the first.
  std::optional<Match> longest_match(const Predecessor& after,
                                     std::span<const TokenId> tokens) const;

  // The first tail that holds nothing but the first tokens of `tokens`.
  std::optional<PageId> tail_within(const Predecessor& after,
                                    std::span<const TokenId> tokens) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Node {
    std::array<TokenId, kPageTokens> tokens{};
    int32_t token_count = 0;
    uint32_t parent = kNone;
    uint32_t first_child = kNone;
    uint32_t newer = kNone;  // siblings
    uint32_t older = kNone;
    token::BlockHash root{};  // of a page without a parent
  };

  uint32_t first_child(const Predecessor& after) const;
  void set_first_child(const Node& node, uint32_t page);
  void link(uint32_t page);
  void unlink(uint32_t page);
  static int agreeing_tokens(const Node& node, std::span<const TokenId> tokens);

  std::vector<Node> nodes_;  // by page
  PrefixIndex roots_;        // root to its first child
};

}  // namespace inferno::kv
