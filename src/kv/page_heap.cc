#include "kv/page_heap.h"

#include "base/check.h"

namespace inferno::kv {

PageHeap::PageHeap(int capacity) : place_(static_cast<size_t>(capacity), kNowhere) {
  heap_.reserve(static_cast<size_t>(capacity));
}

void PageHeap::add(PageId page, Rank rank) {
  CHECK(!contains(page), "page {} is in the heap already", page.value);
  heap_.push_back({});
  sift_up(heap_.size() - 1, {.rank = rank, .page = page});
}

void PageHeap::remove(PageId page) {
  CHECK(contains(page), "page {} is not among the {} in the heap", page.value, heap_.size());
  const size_t hole = place_[page.value];
  place_[page.value] = kNowhere;
  const Entry last = heap_.back();
  heap_.pop_back();
  if (hole == heap_.size()) return;
  if (hole > 0 && last.rank < heap_[(hole - 1) / 2].rank) {
    sift_up(hole, last);
  } else {
    sift_down(hole, last);
  }
}

PageId PageHeap::first() const {
  CHECK(!heap_.empty(), "the heap of {} places is empty", place_.size());
  return heap_.front().page;
}

PageHeap::Rank PageHeap::first_rank() const {
  CHECK(!heap_.empty(), "the heap of {} places is empty", place_.size());
  return heap_.front().rank;
}

void PageHeap::put(size_t place, const Entry& entry) {
  heap_[place] = entry;
  place_[entry.page.value] = static_cast<uint32_t>(place);
}

// Moves the hole at `place` towards the top until `entry` may fill it.
void PageHeap::sift_up(size_t place, const Entry& entry) {
  while (place > 0) {
    const size_t above = (place - 1) / 2;
    if (heap_[above].rank < entry.rank) break;
    put(place, heap_[above]);
    place = above;
  }
  put(place, entry);
}

// Moves the hole at `place` towards the bottom until `entry` may fill it.
void PageHeap::sift_down(size_t place, const Entry& entry) {
  for (size_t below = 2 * place + 1; below < heap_.size(); below = 2 * place + 1) {
    if (below + 1 < heap_.size() && heap_[below + 1].rank < heap_[below].rank) ++below;
    if (entry.rank < heap_[below].rank) break;
    put(place, heap_[below]);
    place = below;
  }
  put(place, entry);
}

}  // namespace inferno::kv
