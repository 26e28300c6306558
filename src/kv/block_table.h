// The pages of one sequence, in the order of its positions: page p holds positions [16 p, 16 p +
// 16).
//
//   adopt_prefix   takes pages that others computed, found by the hash of their content
//   grow           takes empty pages for positions to be computed
//   publish_full   names the pages that are full, so that others find them
//   release        gives everything back, tail first
//
// Invariant: a page that is shared is full and never written again; writing goes to pages that
//            grow() took.
// Threads:   belongs to the engine thread, like the pool.
#pragma once

#include <span>
#include <vector>

#include "base/ids.h"
#include "kv/block_pool.h"
#include "token/block_hash.h"

namespace inferno::kv {

// Positions in a page.
inline constexpr int kPageTokens = 16;

// Pages that hold `tokens` positions.
constexpr int pages_for(int tokens) {
  return (tokens + kPageTokens - 1) / kPageTokens;
}

class BlockTable {
 public:
  // `root` names what the first block's hash starts from: salt and adapter. `max_tokens` sizes the
  // table once.
  BlockTable(token::BlockHash root, int max_tokens);

  // Page numbers by position / 16, as kernels want them.
  std::span<const uint32_t> pages() const { return pages_; }
  int page_count() const { return static_cast<int>(pages_.size()); }

  // Appends pages for as many of the following whole blocks of `tokens` as can be found, and
  // returns how many tokens they hold. Stops before the last token of `tokens`: somebody has to
  // compute its logits.
  // Requires: the table holds exactly the pages of `computed` tokens, a multiple of 16.
  int adopt_prefix(BlockPool& pool, std::span<const TokenId> tokens, int computed);

  // Takes pages until `tokens` positions fit. False when the pool has none left: pages already
  // taken stay.
  bool grow(BlockPool& pool, int tokens);

  // Names every page that is full of computed positions and was not looked at before.
  // `tokens`: the sequence's tokens, of which the first `computed` have their KV in the pages.
  void publish_full(BlockPool& pool, std::span<const TokenId> tokens, int computed);

  // Gives all pages back and forgets them; the table can be filled again.
  void release(BlockPool& pool);

 private:
  token::BlockHash hash_before(int block) const;

  token::BlockHash root_;
  std::vector<uint32_t> pages_;
  std::vector<token::BlockHash> hashes_;  // of the blocks adopted or published so far
};

}  // namespace inferno::kv
