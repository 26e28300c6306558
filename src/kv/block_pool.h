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
//   IDLE            --acquire------->  IN USE           evicted: longest idle first, name forgotten
//
// A sequence releases its pages tail first, so of one sequence the tail is evicted before the
// prefix that others may share.
//
// Invariant: free_count() + idle_count() + in_use_count() == capacity().
// Threads:   belongs to the engine thread; nobody else calls it, so it has no locks.
// Cost:      O(1) per page; no allocation after construction.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "kv/prefix_index.h"
#include "token/block_hash.h"

namespace inferno::kv {

class BlockPool {
 public:
  // Requires: capacity >= 1.
  explicit BlockPool(int capacity);

  // A page of undefined content with one reference, or none when every page is in use.
  std::optional<PageId> acquire();

  // Names a full page by its content, so that find() returns it. When another page has that name
  // already, this one stays unnamed. Requires: `page` is in use and unnamed.
  void publish(PageId page, const token::BlockHash& hash);

  // The page that holds a block, in use or idle.
  std::optional<PageId> find(const token::BlockHash& hash) const { return index_.find(hash); }

  // Takes one more reference on a named page. Requires: it is named.
  void adopt(PageId page);

  // Gives back one reference. Requires: there is one.
  void release(PageId page);

  int capacity() const { return static_cast<int>(pages_.size()); }
  int free_count() const { return static_cast<int>(free_.size()); }
  int idle_count() const { return idle_count_; }
  int in_use_count() const { return capacity() - free_count() - idle_count_; }
  // Pages that acquire() could hand out.
  int available_count() const { return free_count() + idle_count_; }
  int64_t eviction_count() const { return eviction_count_; }
  int reference_count(PageId page) const { return at(page).references; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Page {
    token::BlockHash hash{};
    uint32_t newer = kNone;  // neighbours in the list of idle pages
    uint32_t older = kNone;
    int32_t references = 0;
    bool named = false;
  };

  Page& at(PageId page);
  const Page& at(PageId page) const;
  void link_idle(PageId page);
  void unlink_idle(PageId page);

  std::vector<Page> pages_;
  std::vector<PageId> free_;
  PrefixIndex index_;
  uint32_t oldest_idle_ = kNone;
  uint32_t newest_idle_ = kNone;
  int idle_count_ = 0;
  int64_t eviction_count_ = 0;
};

}  // namespace inferno::kv
