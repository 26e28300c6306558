// Pages in the order of a rank, the smallest first; any of them can be removed.
//
// A binary heap of (rank, order of arrival, page) and, for every page, its place in the heap. Equal
// ranks leave in the order of arrival.
//
// Invariant: heap_[place_[p]].page == p for every page p in the heap; no entry is before the entry
//            above it.
// Threads:   belongs to the engine thread.
// Cost:      O(log pages) a call, O(1) to add a page that ranks last; no allocation after
//            construction.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "base/ids.h"

namespace inferno::kv {

class PageHeap {
 public:
  // What pages are ordered by.
  struct Rank {
    uint64_t value = 0;
    uint64_t arrival = 0;  // settles equal values; no two pages in the heap have the same
    friend auto operator<=>(const Rank&, const Rank&) = default;
  };

  // Room for pages 0 to capacity - 1.
  explicit PageHeap(int capacity);

  // Requires: `page` is not in the heap.
  void add(PageId page, Rank rank);

  // Requires: `page` is in the heap.
  void remove(PageId page);

  // Requires: the heap is not empty.
  PageId first() const;
  Rank first_rank() const;

  bool contains(PageId page) const { return place_[page.value] != kNowhere; }
  bool empty() const { return heap_.empty(); }
  int size() const { return static_cast<int>(heap_.size()); }

 private:
  static constexpr uint32_t kNowhere = UINT32_MAX;

  struct Entry {
    Rank rank;
    PageId page;
  };

  void put(size_t place, const Entry& entry);
  void sift_up(size_t place, const Entry& entry);
  void sift_down(size_t place, const Entry& entry);

  std::vector<Entry> heap_;
  std::vector<uint32_t> place_;  // by page
};

}  // namespace inferno::kv
