// Which idle page gives way when memory is wanted: one small interface, three answers.
//
//   lru    the page that is idle longest                                    (lru_policy.h)
//   lfu    the block that was found least often, old successes fading       (greedy_dual_policy.h)
//   cost   the block that is cheapest to compute again, old successes fading
//
// The pool tells a policy what happens to pages; a policy answers with a victim:
//
//   named --> hit* --> idle --> in_use --> hit* --> idle --> victim
//
// Leaf first, whatever the policy: a block can be found only through all blocks before it in its
// chain, so a page that has the next block of a cached chain behind it is never the victim.
//
// Threads: belongs to the engine thread, inside the pool.
// Cost:    O(1) (lru) or O(log pages) a call; no allocation after construction.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"

namespace inferno::kv {

enum class EvictionPolicyKind : uint8_t { kLru, kLfu, kCost };

// "lru", "lfu" or "cost", as flags and metrics spell it.
std::string_view name_of(EvictionPolicyKind kind);

// The kind of that name; Fault::kInvalid with the known names for any other.
Result<EvictionPolicyKind> eviction_policy_named(std::string_view name);

// Where a page stands in the tree of cached blocks.
enum class BlockPlace : uint8_t {
  kLeaf,   // no cached block continues its chain
  kInner,  // at least one does
};

class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;

  // `page`, in use, now holds a block with `depth` blocks before it in its chain.
  virtual void named(PageId page, int depth) = 0;

  // A sequence found the block of `page` and uses it from now on.
  virtual void hit(PageId page) = 0;

  // The last user of `page` went. A page is idle only while every page behind it is idle too.
  virtual void idle(PageId page, BlockPlace place) = 0;

  // The last block behind the idle page `page` was evicted.
  virtual void became_leaf(PageId page) = 0;

  // The idle page `page` is in use again.
  virtual void in_use(PageId page) = 0;

  // The page to evict, forgotten here. Requires: some page is idle.
  virtual PageId take_victim() = 0;
};

// A policy for pages 0 to capacity - 1, none of them idle.
std::unique_ptr<EvictionPolicy> make_eviction_policy(EvictionPolicyKind kind, int capacity);

}  // namespace inferno::kv
