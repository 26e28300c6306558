#include "kv/lru_policy.h"

#include "base/check.h"

namespace inferno::kv {

void LruPolicy::idle(PageId page, BlockPlace) {
  links_[page.value] = {.newer = kNone, .older = newest_};
  (newest_ == kNone ? oldest_ : links_[newest_].newer) = page.value;
  newest_ = page.value;
}

void LruPolicy::in_use(PageId page) {
  const Link link = links_[page.value];
  (link.older == kNone ? oldest_ : links_[link.older].newer) = link.newer;
  (link.newer == kNone ? newest_ : links_[link.newer].older) = link.older;
}

PageId LruPolicy::take_victim() {
  CHECK(oldest_ != kNone, "no page of {} is idle", links_.size());
  const PageId victim{oldest_};
  in_use(victim);
  return victim;
}

}  // namespace inferno::kv
