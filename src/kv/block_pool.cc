#include "kv/block_pool.h"

#include "base/check.h"

namespace inferno::kv {

BlockPool::BlockPool(int capacity, EvictionPolicyKind policy)
    : pages_(static_cast<size_t>(capacity)),
      index_(capacity),
      ghosts_(capacity),
      policy_kind_(policy),
      policy_(make_eviction_policy(policy, capacity)) {
  CHECK(capacity >= 1, "a pool of {} pages", capacity);
  free_.reserve(pages_.size());
  for (uint32_t page = static_cast<uint32_t>(capacity); page > 0; --page)
    free_.push_back({page - 1});
  stats_.free_pages = capacity;
}

std::optional<PageId> BlockPool::acquire() {
  PageId page;
  if (!free_.empty()) {
    page = free_.back();
    free_.pop_back();
    --stats_.free_pages;
  } else if (stats_.idle_pages > 0) {
    page = evict();
  } else {
    return std::nullopt;
  }
  at(page).references = 1;
  ++stats_.in_use_unnamed_pages;
  return page;
}

PageId BlockPool::evict() {
  const PageId victim = policy_->take_victim();
  Page& entry = at(victim);
  CHECK(entry.references == 0 && entry.children == 0, "page {} with {} users and {} children",
        victim.value, entry.references, entry.children);
  index_.erase(entry.hash);
  ghosts_.add(entry.hash);
  entry.named = false;
  --stats_.idle_pages;
  ++stats_.evicted_blocks;
  if (entry.parent != kNone) {
    Page& parent = pages_[entry.parent];
    if (--parent.children == 0 && parent.references == 0) policy_->became_leaf({entry.parent});
    entry.parent = kNone;
  }
  return victim;
}

PageId BlockPool::publish(PageId page, const token::BlockHash& hash, const BlockOrigin& origin) {
  Page& entry = at(page);
  if (const std::optional<PageId> holder = index_.find(hash)) {
    CHECK(!entry.named || *holder == page, "page {} has a name, now that of page {}", page.value,
          holder->value);
    return *holder;
  }
  CHECK(entry.references > 0 && !entry.named, "page {} with {} references, named {}", page.value,
        entry.references, entry.named);
  entry.depth = 0;
  if (origin.parent) {
    Page& parent = at(*origin.parent);
    CHECK(parent.references > 0 && parent.named, "parent {} with {} references, named {}",
          origin.parent->value, parent.references, parent.named);
    ++parent.children;
    ++parent.used_children;
    entry.parent = origin.parent->value;
    entry.depth = parent.depth + 1;
  }
  index_.insert(hash, page);
  if (ghosts_.take(hash)) ++stats_.evicted_wanted_again_blocks;
  entry.hash = hash;
  entry.cause = origin.cause;
  entry.named = true;
  policy_->named(page, entry.depth);
  --stats_.in_use_unnamed_pages;
  ++stats_.in_use_named_pages;
  return page;
}

void BlockPool::adopt(PageId page) {
  Page& entry = at(page);
  CHECK(entry.named, "page {} has no name to be found by", page.value);
  if (entry.references == 0) make_used(page);
  ++entry.references;
  policy_->hit(page);
}

void BlockPool::share(PageId page) {
  Page& entry = at(page);
  CHECK(entry.references > 0, "page {} is not in use", page.value);
  ++entry.references;
  if (entry.named) policy_->hit(page);
}

void BlockPool::merge(PageId duplicate, PageId original) {
  CHECK(duplicate != original, "page {} is no duplicate of itself", original.value);
  adopt(original);
  release(duplicate);
  ++stats_.duplicate_blocks;
}

void BlockPool::release(PageId page) {
  Page& entry = at(page);
  CHECK(entry.references > 0, "page {} has {} references", page.value, entry.references);
  if (--entry.references > 0) return;
  if (entry.named) {
    make_idle(page);
  } else {
    free_.push_back(page);
    --stats_.in_use_unnamed_pages;
    ++stats_.free_pages;
  }
}

void BlockPool::make_idle(PageId page) {
  const Page& entry = pages_[page.value];
  CHECK(entry.used_children == 0, "page {} is given back before {} pages below it", page.value,
        entry.used_children);
  if (entry.parent != kNone) --pages_[entry.parent].used_children;
  policy_->idle(page, entry.children == 0 ? BlockPlace::kLeaf : BlockPlace::kInner);
  --stats_.in_use_named_pages;
  ++stats_.idle_pages;
}

void BlockPool::make_used(PageId page) {
  const Page& entry = pages_[page.value];
  if (entry.parent != kNone) {
    Page& parent = pages_[entry.parent];
    CHECK(parent.references > 0, "page {} is adopted before its parent {}", page.value,
          entry.parent);
    ++parent.used_children;
  }
  policy_->in_use(page);
  --stats_.idle_pages;
  ++stats_.in_use_named_pages;
}

void BlockPool::record_admission(const AdmissionCounts& counts) {
  int hit_tokens = 0;
  for (size_t cause = 0; cause < kHitCauseCount; ++cause) {
    stats_.hit_tokens_by_cause[cause] += counts.hit_tokens_by_cause[cause];
    hit_tokens += counts.hit_tokens_by_cause[cause];
  }
  stats_.hit_tokens += hit_tokens;
  stats_.miss_tokens += counts.query_tokens - hit_tokens;
  stats_.hit_blocks += counts.hit_blocks;
  stats_.miss_blocks += counts.query_blocks - counts.hit_blocks;
}

BlockPool::Page& BlockPool::at(PageId page) {
  CHECK(page.value < pages_.size(), "page {} of {}", page.value, pages_.size());
  return pages_[page.value];
}

const BlockPool::Page& BlockPool::at(PageId page) const {
  CHECK(page.value < pages_.size(), "page {} of {}", page.value, pages_.size());
  return pages_[page.value];
}

}  // namespace inferno::kv
