// The pages of one sequence, in the order of its positions: page p holds those from 16 p on.
//
//   hash_prompt    names the blocks of the tokens known, once
//   adopt_prefix   takes pages that others computed, found by the hash of their content
//   copy_tail      begins the next page as a copy of one that others have, as far as it agrees
//   fork_prefix    takes the pages of a running sequence of which this one is a branch
//   grow           takes empty pages for positions to be computed
//   publish_full   names the pages that are full, so that others find them
//   retire         gives everything back, tail first; others may copy from the tail
//   release        gives everything back, tail first
//
// Of a fork at token 40:   parent  [ 0..15 ][ 16..31 ][ 32..47 ]      pages 0 and 1 are shared,
//                          child   [ 0..15 ][ 16..31 ][ 32..39 ]      the third is a copy
// and of a prompt that agrees up to there with one whose pages are in the pool.
//
// A table belongs to one sequence for good: its tokens only grow, so a hash is computed once,
// however long it waits, is preempted and resumed.
//
// Invariant: a page that is shared is full of computed positions and never written again; writing
//            goes to pages that grow(), copy_tail() or fork_prefix() took. The first published
//            blocks are the pages that the pool finds by their names, never duplicates of them.
// Threads:   belongs to the engine thread, like the pool.
// Cost:      O(1) a block (20 ns to hash it), plus what the pool says; no allocation after
//            construction.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "kv/block_pool.h"
#include "token/block_hash.h"

namespace inferno::kv {

// Pages that hold `tokens` positions.
constexpr int pages_for(int tokens) {
  return (tokens + kPageTokens - 1) / kPageTokens;
}

// The bytes of page `from` belong into page `to` before anything is computed that reads or writes
// it (PageStore::copy_page). Copies are made in the order they were asked for: a page given back
// since may be the source of one and the destination of a later one, and the other way round.
struct PageCopy {
  PageId from;
  PageId to;
  friend bool operator==(const PageCopy&, const PageCopy&) = default;
};

// What fork_prefix() leaves to be done: a copy unless the fork is at the end of a page.
struct ForkedPrefix {
  std::optional<PageCopy> copy;
};

// What copy_tail() leaves to be done, and how many positions are filled then.
struct CopiedTail {
  PageCopy copy;
  int tokens = 0;
};

// How a sequence came to run, for the statistics of hits.
enum class Admission : uint8_t {
  kFirst,    // never ran before
  kResumed,  // ran, was preempted and begins again
  kForked,   // by fork_prefix()
};

class BlockTable {
 public:
  // `root` names what the first block's hash starts from: salt and adapter. `max_tokens` sizes the
  // table once; it never holds more positions.
  BlockTable(token::BlockHash root, int max_tokens);

  // What the first block's hash starts from: tables of the same root may share pages.
  token::BlockHash root() const { return root_; }

  // Page numbers by position / 16, as kernels want them. publish_full() may change them.
  std::span<const uint32_t> pages() const { return pages_; }
  int page_count() const { return static_cast<int>(pages_.size()); }

  // Hashes all whole blocks of `tokens` that are not hashed yet. The first call, or the first of
  // adopt_prefix() and publish_full(), which do it themselves, tells how long the prompt is.
  // Requires: `tokens` begins with the tokens of every call before.
  void hash_prompt(std::span<const TokenId> tokens);

  // The name of a block, when all its tokens are hashed.
  std::optional<token::BlockHash> block_hash(int block) const;

  // The name of the first block that is neither adopted nor published, when it is hashed: what a
  // running sequence is computing, and what a waiting one with no pages wants first.
  std::optional<token::BlockHash> next_block_hash() const { return block_hash(published_); }

  // The tokens that adopt_prefix() would adopt now, found without taking a reference.
  // Requires: as adopt_prefix(); hash_prompt() was called with the tokens.
  int cached_prefix_tokens(const BlockPool& pool) const;

  // The tokens that copy_tail() would find after adopt_prefix() now. Requires: the same.
  int cached_tail_tokens(const BlockPool& pool, std::span<const TokenId> tokens) const;

  // Whether adopt_prefix() and copy_tail() would find all of `tokens` but the last one now: three
  // look-ups, however long they are. Requires: as cached_prefix_tokens().
  bool has_all_but_last(const BlockPool& pool, std::span<const TokenId> tokens) const;

  // Appends pages for as many of the following whole blocks of `tokens` as can be found, and
  // returns how many tokens they hold. Stops before the last token of `tokens`: somebody has to
  // compute its logits.
  // Requires: the table holds exactly the pages of `computed` tokens, a multiple of 16, all adopted
  // or published.
  int adopt_prefix(BlockPool& pool, std::span<const TokenId> tokens, int computed);

  // Appends a page that begins as a copy, to be made, of the one in the pool that agrees longest
  // with the tokens after those adopted; their last one is left to be computed. Nothing is taken,
  // and nothing returned, when none agrees with the next token, or when the pool has no page
  // besides that one.
  // Requires: as adopt_prefix(), which was called with the same tokens.
  std::optional<CopiedTail> copy_tail(BlockPool& pool, std::span<const TokenId> tokens);

  // Makes the empty table hold the first `tokens` positions of `parent`, which has computed them:
  // full pages are shared, of a partly filled last one the copy to be made is returned. Nothing is
  // taken, and nothing returned, when the pool has no page for that.
  // Requires: the same root; both sequences begin with the same `tokens` tokens; tokens >= 1.
  std::optional<ForkedPrefix> fork_prefix(BlockPool& pool, const BlockTable& parent, int tokens);

  // Takes pages until `tokens` positions fit. False when the pool has none left: pages already
  // taken stay.
  bool grow(BlockPool& pool, int tokens);

  // Names every page that is full of computed positions and was not looked at before. Where another
  // sequence has published the same block meanwhile, the table takes that page and gives its own
  // back: their bytes are the same.
  // `tokens`: the sequence's tokens, of which the first `computed` have their KV in the pages.
  void publish_full(BlockPool& pool, std::span<const TokenId> tokens, int computed);

  // Counts what the sequence found in the cache, and what it did not, in pool.stats(). To be called
  // once each time it begins to run: after adopt_prefix() and copy_tail(), or fork_prefix(), also
  // when nothing was found, and before the first publish_full() thereafter.
  void record_admission(BlockPool& pool, Admission admission) const;

  // Gives all pages back and forgets them; the table can be filled again with the same tokens.
  void release(BlockPool& pool);

  // As release(), but leaves in the pool what a partly filled last page holds of the `computed`
  // first ones of `tokens`, when all pages before it are published.
  void retire(BlockPool& pool, std::span<const TokenId> tokens, int computed);

 private:
  std::optional<BlockTree::Match> find_tail(const BlockPool& pool, int block,
                                            std::span<const TokenId> tokens) const;
  BlockOrigin origin_of(int block, std::span<const TokenId> tokens) const;
  token::BlockHash hash_before(int block) const;
  int findable_blocks() const;

  token::BlockHash root_;
  std::vector<uint32_t> pages_;
  std::vector<token::BlockHash> hashes_;     // of the first whole blocks; they outlive release()
  int published_ = 0;                        // first blocks whose pages are named
  int prompt_tokens_ = 0;                    // 0: not known yet
  int token_count_ = 0;                      // tokens seen so far
  int found_tokens_ = 0;                     // that were adopted, copied or shared
  HitCause tail_cause_ = HitCause::kPrompt;  // of those that copy_tail() found
};

}  // namespace inferno::kv
