// Which pages come free when some sequences go: those that nobody else holds.
//
//   begin(), then add() of each that would go
//
// Forks and requests with one prompt hold pages together. Such a page is counted once, with the
// last of its holders; one that somebody else holds as well is not counted.
//
// Threads: belongs to the engine thread. Cost: O(1) a page; only construction allocates.
#pragma once

#include <vector>

#include "kv/block_pool.h"
#include "kv/block_table.h"

namespace inferno::schedule {

class PageCensus {
 public:
  // The pool outlives the census.
  explicit PageCensus(const kv::BlockPool& pool);

  // Forgets all who were added.
  void begin() { ++round_; }

  // Adds one more that would go; returns how many pages come free by it besides those that come
  // free by the others. Requires: it was not added since begin(), and nobody has taken or given
  // back pages since.
  int add(const kv::BlockTable& table);

  // Whether somebody who was not added holds the page.
  bool stays_held(PageId page) const;

 private:
  struct Holders {
    uint64_t round = 0;
    int count = 0;  // of those added in that round
  };

  const kv::BlockPool& pool_;
  std::vector<Holders> holders_;  // by page
  uint64_t round_ = 1;
};

}  // namespace inferno::schedule
