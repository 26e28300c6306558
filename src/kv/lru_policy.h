// Evicts the page that is idle longest.
//
//   oldest <-> ... <-> newest      a list through an array; idle pages only
//
// Leaf first comes by itself: whoever holds a block holds all blocks before it and gives them back
// last block first, so a page is always idle longer than the page before it in its chain.
//
// Threads: belongs to the engine thread. Cost: O(1) a call; no allocation after construction.
#pragma once

#include <vector>

#include "kv/eviction_policy.h"

namespace inferno::kv {

class LruPolicy final : public EvictionPolicy {
 public:
  explicit LruPolicy(int capacity) : links_(static_cast<size_t>(capacity)) {}

  void named(PageId, int) override {}
  void hit(PageId) override {}
  void idle(PageId page, BlockPlace) override;
  void became_leaf(PageId) override {}
  void in_use(PageId page) override;
  PageId take_victim() override;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Link {
    uint32_t newer = kNone;
    uint32_t older = kNone;
  };

  std::vector<Link> links_;
  uint32_t oldest_ = kNone;
  uint32_t newest_ = kNone;
};

}  // namespace inferno::kv
