// The pages of one worker's KV cache: which are free, which are in use, which can be found again.
//
// The pool hands out page numbers; it never touches the bytes (kv/page_store.h does). A page is
// always in exactly one state:
//
//   FREE            --acquire------->  IN USE
//   IN USE          --publish------->  IN USE, named    full, and findable by its content
//   IN USE          --last release-->  FREE             nobody could find it again
//   IN USE, named   --last release-->  IDLE             kept, in case somebody asks
//   IDLE            --adopt--------->  IN USE, named    the prefix-cache hit
//   IDLE            --acquire------->  IN USE           evicted, its name forgotten; a tail, too
//   IN USE          --keep_tail----->  IDLE, a tail     partly filled, and worth a copy
//   IDLE, a tail    --keep, publish->  FREE             another page has all that was in it
//
// Named pages form trees (kv/block_tree.h): the parent of a block is the block before it. Who holds
// a page holds its parent too and gives back the child first, so below an idle page all is idle;
// and the eviction policy (kv/eviction_policy.h) takes leaves, so the parent of a named page is
// always named.
//
// A tail is a leaf of its tree without a hash: find() never returns it and nobody writes to it, so
// its only use is that a sequence which goes on in the same way begins its page with a copy.
//
// Invariant: free_count() + idle_count() + in_use_count() == capacity().
// Threads:   belongs to the engine thread; nobody else calls it, so it has no locks.
// Cost:      O(1) per page, or O(log idle pages) by policy; no allocation after construction.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "kv/block_pool_stats.h"
#include "kv/block_tree.h"
#include "kv/eviction_policy.h"
#include "kv/ghost_list.h"
#include "kv/prefix_index.h"
#include "token/block_hash.h"

namespace inferno::kv {

// Where a block to be named comes from.
struct BlockOrigin {
  Predecessor after;                   // the block before it
  std::span<const TokenId> tokens{};   // those in it; none: nothing will be copied from it
  HitCause cause = HitCause::kPrompt;  // what finding it will count as: kPrompt or kGenerated
};

// What the admission of one sequence found, for BlockPool::record_admission().
struct AdmissionCounts {
  int query_blocks = 0;
  int hit_blocks = 0;
  int query_tokens = 0;
  std::array<int, kHitCauseCount> hit_tokens_by_cause{};
};

class BlockPool {
 public:
  // Requires: capacity >= 1.
  explicit BlockPool(int capacity, EvictionPolicyKind policy = EvictionPolicyKind::kLru);

  // A page of undefined content with one reference, or none when every page is in use.
  std::optional<PageId> acquire();

  // Names a full page by its content, so that find() returns it, and returns the page that has the
  // name: another one when it had that name already; then `page` stays unnamed.
  // Requires: `page` is in use and unnamed, or named so; the parent is in use and named.
  PageId publish(PageId page, const token::BlockHash& hash, const BlockOrigin& origin = {});

  // Gives back the only reference on a page of which the first positions are filled. It stays,
  // idle, to be copied from, unless one of the pages last used after the same block has its tokens.
  // Requires: `page` is unnamed; it has tokens, fewer than a page; the parent is in use and named.
  void keep_tail(PageId page, const BlockOrigin& origin);

  // The named page, in use or idle, that continues a block with most of `tokens`, to be copied
  // from. An idle one may be the next that acquire() hands out, unless it is adopted meanwhile.
  std::optional<BlockTree::Match> find_continuation(const Predecessor& after,
                                                    std::span<const TokenId> tokens) const {
    return tree_.longest_match(after, tokens);
  }

  // The page that holds a block, in use or idle.
  std::optional<PageId> find(const token::BlockHash& hash) const { return index_.find(hash); }

  // Takes one more reference on a named page. Requires: it is named, its parent is in use.
  void adopt(PageId page);

  // Takes one more reference on a page in use, named or not. Requires: it is in use.
  void share(PageId page);

  // Takes one reference on `original` and gives back one on `duplicate`, a page of the same
  // content.
  // Requires: as adopt() and release().
  void merge(PageId duplicate, PageId original);

  // Gives back one reference. Requires: there is one; with the last one of a named page, no page
  // below it is in use.
  void release(PageId page);

  int capacity() const { return static_cast<int>(pages_.size()); }
  int free_count() const { return stats_.free_pages; }
  int idle_count() const { return stats_.idle_pages; }
  int in_use_count() const { return stats_.in_use_named_pages + stats_.in_use_unnamed_pages; }
  // Pages that acquire() could hand out.
  int available_count() const { return free_count() + idle_count(); }
  int64_t eviction_count() const { return stats_.evicted_blocks; }
  int reference_count(PageId page) const { return at(page).references; }
  bool is_named(PageId page) const { return at(page).named; }
  // What finding a named page counts as.
  HitCause hit_cause(PageId page) const { return at(page).cause; }
  EvictionPolicyKind policy() const { return policy_kind_; }

  // Always up to date. Hits and misses are what record_admission() was told.
  const BlockPoolStats& stats() const { return stats_; }

  // Adds one admission to the hits and misses. BlockTable::record_admission() calls it.
  void record_admission(const AdmissionCounts& counts);

 private:
  struct Page {
    token::BlockHash hash{};    // of a block; a tail has none
    int32_t used_children = 0;  // named pages in use whose parent this is
    int32_t references = 0;
    int32_t depth = 0;  // blocks before it in its chain
    HitCause cause = HitCause::kPrompt;
    bool named = false;
  };

  Page& at(PageId page);
  const Page& at(PageId page) const;
  PageId evict();
  void name(PageId page, const BlockOrigin& origin);
  void forget(PageId page);
  void drop_tails_within(const BlockOrigin& origin);
  // Requires: the page is named.
  void make_idle(PageId page);
  void make_used(PageId page);

  std::vector<Page> pages_;
  std::vector<PageId> free_;
  PrefixIndex index_;  // blocks
  BlockTree tree_;     // blocks and tails
  GhostList ghosts_;
  EvictionPolicyKind policy_kind_;
  std::unique_ptr<EvictionPolicy> policy_;
  BlockPoolStats stats_;
};

}  // namespace inferno::kv
