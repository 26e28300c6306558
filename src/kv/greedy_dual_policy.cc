#include "kv/greedy_dual_policy.h"

#include <algorithm>

namespace inferno::kv {

GreedyDualPolicy::GreedyDualPolicy(int capacity)
    : uses_(static_cast<size_t>(capacity)),
      ranks_(static_cast<size_t>(capacity)),
      leaves_(capacity) {}

void GreedyDualPolicy::named(PageId page, int depth) {
  uses_[page.value] = {.depth = static_cast<uint32_t>(depth), .use_count = 1};
}

void GreedyDualPolicy::hit(PageId page) {
  uint32_t& count = uses_[page.value].use_count;
  count = std::min(count + 1, kMaxUses);
}

void GreedyDualPolicy::idle(PageId page, BlockPlace place) {
  ranks_[page.value] = {.value = clock_ + value_of(uses_[page.value]), .arrival = idle_so_far_++};
  if (place == BlockPlace::kLeaf) leaves_.add(page, ranks_[page.value]);
}

void GreedyDualPolicy::became_leaf(PageId page) {
  leaves_.add(page, ranks_[page.value]);
}

void GreedyDualPolicy::in_use(PageId page) {
  if (leaves_.contains(page)) leaves_.remove(page);
}

PageId GreedyDualPolicy::take_victim() {
  const PageId victim = leaves_.first();
  // A parent that waited for its last child may rank below the clock: time does not run backwards.
  clock_ = std::max(clock_, leaves_.first_rank().value);
  leaves_.remove(victim);
  return victim;
}

}  // namespace inferno::kv
