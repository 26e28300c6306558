// Evicts the least valuable idle leaf; what a value is, the two policies below say.
//
//   rank of an idle page = value of its block + clock;   clock := rank of the last victim
//
// The clock is what makes old successes fade: a block that was used a hundred times ranks a hundred
// above the clock when it becomes idle, and goes when the clock has passed that, however few uses
// each of the others had (Cao and Irani, "Cost-aware WWW proxy caching algorithms", 1997; Arlitt et
// al., "Evaluating content management techniques for Web proxy caches", 2000, dynamic ageing).
// Equal ranks go longest idle first.
//
// Only leaves are in the heap; an inner page keeps its rank aside until the last block behind it
// goes.
//
// Threads: belongs to the engine thread. Cost: O(log idle pages) a call; no allocation after
//          construction.
#pragma once

#include <vector>

#include "kv/eviction_policy.h"
#include "kv/page_heap.h"

namespace inferno::kv {

class GreedyDualPolicy : public EvictionPolicy {
 public:
  explicit GreedyDualPolicy(int capacity);

  void named(PageId page, int depth) override;
  void hit(PageId page) override;
  void idle(PageId page, BlockPlace place) override;
  void became_leaf(PageId page) override;
  void in_use(PageId page) override;
  PageId take_victim() override;

 protected:
  // What is known of a block.
  struct BlockUse {
    uint32_t depth = 0;      // blocks before it in its chain
    uint32_t use_count = 0;  // 1 for computing it, 1 for every time it was found; stops at kMaxUses
  };

  // Keeps a value below 2^40 for chains of up to 2^24 blocks. The clock advances by less than the
  // sum of all values ever given, so it does not wrap before 2^40 uses of blocks that deep.
  static constexpr uint32_t kMaxUses = 1 << 16;

 private:
  // What keeping a block is worth; at least 1.
  virtual uint64_t value_of(const BlockUse& use) const = 0;

  std::vector<BlockUse> uses_;         // by page
  std::vector<PageHeap::Rank> ranks_;  // by page; of idle pages
  PageHeap leaves_;
  uint64_t clock_ = 0;
  uint64_t idle_so_far_ = 0;
};

// Value: how often the block was used.
class LfuPolicy final : public GreedyDualPolicy {
 public:
  using GreedyDualPolicy::GreedyDualPolicy;

 private:
  uint64_t value_of(const BlockUse& use) const override { return use.use_count; }
};

// Value: how often the block was used, times what computing it again costs over the bytes it holds.
// All pages have the same bytes, so those cancel. The cost of a token grows with its position,
// because it attends to all tokens before it.
class CostAwarePolicy final : public GreedyDualPolicy {
 public:
  using GreedyDualPolicy::GreedyDualPolicy;

  // The depth, in blocks, at which attention costs as much as all matrix products of a token: below
  // it costs are nearly equal, far above it they are proportional to the position. In operations
  // that is at position W / (2 L D) for W weights, L layers, width D: 3,000 tokens for
  // SmolLM2-135M, 15,000 for Qwen2.5-1.5B, 33,000 (2048 blocks of 16) for Qwen2.5-7B. Smaller
  // values keep fewer but deeper blocks; docs/decisions/0008-eviction-policies.md has the figures.
  static constexpr uint64_t kParityDepth = 2048;

 private:
  uint64_t value_of(const BlockUse& use) const override {
    return use.use_count * (kParityDepth + use.depth);
  }
};

}  // namespace inferno::kv
