#include "kv/block_pool.h"

#include "base/check.h"

namespace inferno::kv {

BlockPool::BlockPool(int capacity) : pages_(static_cast<size_t>(capacity)), index_(capacity) {
  CHECK(capacity >= 1, "a pool of {} pages", capacity);
  free_.reserve(pages_.size());
  for (uint32_t page = static_cast<uint32_t>(capacity); page > 0; --page)
    free_.push_back({page - 1});
}

std::optional<PageId> BlockPool::acquire() {
  PageId page;
  if (!free_.empty()) {
    page = free_.back();
    free_.pop_back();
  } else if (oldest_idle_ != kNone) {
    page = {oldest_idle_};
    unlink_idle(page);
    index_.erase(at(page).hash);
    at(page).named = false;
    ++eviction_count_;
  } else {
    return std::nullopt;
  }
  at(page).references = 1;
  return page;
}

void BlockPool::publish(PageId page, const token::BlockHash& hash) {
  Page& entry = at(page);
  CHECK(entry.references > 0 && !entry.named, "page {} with {} references, named {}", page.value,
        entry.references, entry.named);
  if (index_.find(hash)) return;
  index_.insert(hash, page);
  entry.hash = hash;
  entry.named = true;
}

void BlockPool::adopt(PageId page) {
  Page& entry = at(page);
  CHECK(entry.named, "page {} has no name to be found by", page.value);
  if (entry.references == 0) unlink_idle(page);
  ++entry.references;
}

void BlockPool::release(PageId page) {
  Page& entry = at(page);
  CHECK(entry.references > 0, "page {} has {} references", page.value, entry.references);
  if (--entry.references > 0) return;
  if (entry.named) {
    link_idle(page);
  } else {
    free_.push_back(page);
  }
}

BlockPool::Page& BlockPool::at(PageId page) {
  CHECK(page.value < pages_.size(), "page {} of {}", page.value, pages_.size());
  return pages_[page.value];
}

const BlockPool::Page& BlockPool::at(PageId page) const {
  CHECK(page.value < pages_.size(), "page {} of {}", page.value, pages_.size());
  return pages_[page.value];
}

void BlockPool::link_idle(PageId page) {
  Page& entry = pages_[page.value];
  entry.older = newest_idle_;
  entry.newer = kNone;
  (newest_idle_ == kNone ? oldest_idle_ : pages_[newest_idle_].newer) = page.value;
  newest_idle_ = page.value;
  ++idle_count_;
}

void BlockPool::unlink_idle(PageId page) {
  const Page& entry = pages_[page.value];
  (entry.older == kNone ? oldest_idle_ : pages_[entry.older].newer) = entry.newer;
  (entry.newer == kNone ? newest_idle_ : pages_[entry.newer].older) = entry.older;
  --idle_count_;
}

}  // namespace inferno::kv
