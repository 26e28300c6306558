#include "kv/prefix_index.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace inferno::kv {

PrefixIndex::PrefixIndex(int capacity)
    : slots_(std::bit_ceil(std::max<size_t>(static_cast<size_t>(capacity) * 2, 2))),
      mask_(slots_.size() - 1),
      capacity_(capacity) {}

// The slot that holds `hash`, or the empty slot where it would go.
size_t PrefixIndex::slot_of(const token::BlockHash& hash) const {
  size_t slot = home(hash);
  while (slots_[slot].page && !(slots_[slot].hash == hash))
    slot = (slot + 1) & mask_;
  return slot;
}

std::optional<PageId> PrefixIndex::find(const token::BlockHash& hash) const {
  return slots_[slot_of(hash)].page;
}

void PrefixIndex::insert(const token::BlockHash& hash, PageId page) {
  CHECK(size_ < capacity_, "prefix index is full: {} entries", size_);
  Slot& slot = slots_[slot_of(hash)];
  CHECK(!slot.page, "block is already held by page {}", slot.page->value);
  slot = {.hash = hash, .page = page};
  ++size_;
}

void PrefixIndex::erase(const token::BlockHash& hash) {
  size_t hole = slot_of(hash);
  CHECK(slots_[hole].page.has_value(), "block to forget is not in the index of {} entries", size_);
  slots_[hole].page.reset();
  --size_;
  // Followers that were pushed past the hole move into it, or they could no longer be reached.
  for (size_t next = (hole + 1) & mask_; slots_[next].page; next = (next + 1) & mask_) {
    const size_t distance_from_home = (next - home(slots_[next].hash)) & mask_;
    const size_t distance_from_hole = (next - hole) & mask_;
    if (distance_from_home >= distance_from_hole) {
      slots_[hole] = slots_[next];
      slots_[next].page.reset();
      hole = next;
    }
  }
}

}  // namespace inferno::kv
