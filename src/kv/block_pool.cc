#include "kv/block_pool.h"

#include "base/check.h"

namespace inferno::kv {

BlockPool::BlockPool(int capacity, EvictionPolicyKind policy)
    : pages_(static_cast<size_t>(capacity)),
      index_(capacity),
      tree_(capacity),
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
  const Page& entry = at(victim);
  if (!tree_.is_tail(victim)) {
    index_.erase(entry.hash);
    ghosts_.add(entry.hash);
  }
  forget(victim);
  ++stats_.evicted_blocks;
  return victim;
}

// Takes an idle page, which the policy has forgotten already, out of the tree.
void BlockPool::forget(PageId page) {
  Page& entry = at(page);
  CHECK(entry.references == 0, "page {} with {} users", page.value, entry.references);
  entry.named = false;
  --stats_.idle_pages;
  const std::optional<PageId> parent_page = tree_.parent_of(page);
  tree_.erase(page);
  if (!parent_page || tree_.has_children(*parent_page)) return;
  if (at(*parent_page).references == 0) policy_->became_leaf(*parent_page);
}

PageId BlockPool::publish(PageId page, const token::BlockHash& hash, const BlockOrigin& origin) {
  Page& entry = at(page);
  if (const std::optional<PageId> holder = index_.find(hash)) {
    CHECK(!entry.named || *holder == page, "page {} has a name, now that of page {}", page.value,
          holder->value);
    return *holder;
  }
  drop_tails_within(origin);
  name(page, origin);
  index_.insert(hash, page);
  if (ghosts_.take(hash)) ++stats_.evicted_wanted_again_blocks;
  entry.hash = hash;
  return page;
}

void BlockPool::keep_tail(PageId page, const BlockOrigin& origin) {
  const auto count = static_cast<int>(origin.tokens.size());
  CHECK(at(page).references == 1 && count > 0 && count < kPageTokens,
        "a tail of {} tokens in page {} with {} references", count, page.value,
        at(page).references);
  const std::optional<BlockTree::Match> other = tree_.longest_match(origin.after, origin.tokens);
  if (other && other->tokens == count) {
    adopt(other->page);  // what was in it has been used again
    release(other->page);
  } else {
    drop_tails_within(origin);
    name(page, origin);
  }
  release(page);
}

// Frees tails of which all is in the page that is about to be named.
void BlockPool::drop_tails_within(const BlockOrigin& origin) {
  while (const std::optional<PageId> tail = tree_.tail_within(origin.after, origin.tokens)) {
    policy_->in_use(*tail);
    forget(*tail);
    free_.push_back(*tail);
    ++stats_.free_pages;
  }
}

// Enters a page in use into the tree.
void BlockPool::name(PageId page, const BlockOrigin& origin) {
  Page& entry = at(page);
  CHECK(entry.references > 0 && !entry.named, "page {} with {} references, named {}", page.value,
        entry.references, entry.named);
  entry.depth = 0;
  if (origin.after.page) {
    Page& parent = at(*origin.after.page);
    CHECK(parent.references > 0 && parent.named, "parent {} with {} references, named {}",
          origin.after.page->value, parent.references, parent.named);
    ++parent.used_children;
    entry.depth = parent.depth + 1;
  }
  tree_.insert(page, origin.after, origin.tokens);
  entry.cause = origin.cause;
  entry.named = true;
  policy_->named(page, entry.depth);
  --stats_.in_use_unnamed_pages;
  ++stats_.in_use_named_pages;
}

void BlockPool::adopt(PageId page) {
  Page& entry = at(page);
  CHECK(entry.named, "page {} has no name to be found by", page.value);
  if (entry.references == 0) make_used(page);
  ++entry.references;
  policy_->hit(page);
  tree_.bring_forward(page);
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
  if (const std::optional<PageId> parent = tree_.parent_of(page)) --at(*parent).used_children;
  policy_->idle(page, tree_.has_children(page) ? BlockPlace::kInner : BlockPlace::kLeaf);
  --stats_.in_use_named_pages;
  ++stats_.idle_pages;
}

void BlockPool::make_used(PageId page) {
  if (const std::optional<PageId> parent_page = tree_.parent_of(page)) {
    Page& parent = at(*parent_page);
    CHECK(parent.references > 0, "page {} is adopted before its parent {}", page.value,
          parent_page->value);
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
