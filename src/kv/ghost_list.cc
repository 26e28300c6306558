#include "kv/ghost_list.h"

namespace inferno::kv {

GhostList::GhostList(int capacity)
    : ring_(static_cast<size_t>(capacity)),
      taken_(static_cast<size_t>(capacity), 1),
      index_(capacity) {}

void GhostList::add(const token::BlockHash& hash) {
  if (taken_[next_] == 0) index_.erase(ring_[next_]);
  index_.insert(hash, {static_cast<uint32_t>(next_)});
  ring_[next_] = hash;
  taken_[next_] = 0;
  next_ = next_ + 1 == ring_.size() ? 0 : next_ + 1;
}

bool GhostList::take(const token::BlockHash& hash) {
  const std::optional<PageId> place = index_.find(hash);
  if (!place) return false;
  index_.erase(hash);
  taken_[place->value] = 1;
  return true;
}

}  // namespace inferno::kv
