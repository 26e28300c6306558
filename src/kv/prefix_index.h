// Which page holds the block of a given content hash. A hash table of fixed size: pages come and go
// at every step, so it must not allocate.
//
// Open addressing with linear probing; removal shifts the followers back instead of leaving
// tombstones, so that the table stays as fast after a day as at start. At most half full.
//
// Threads: belongs to the engine thread. Cost: O(1) expected per call.
#pragma once

#include <optional>
#include <vector>

#include "base/ids.h"
#include "token/block_hash.h"

namespace inferno::kv {

class PrefixIndex {
 public:
  // Room for `capacity` entries.
  explicit PrefixIndex(int capacity);

  std::optional<PageId> find(const token::BlockHash& hash) const;

  // Adds an entry. Requires: `hash` is not there and size() < capacity.
  void insert(const token::BlockHash& hash, PageId page);

  // Removes an entry. Requires: it is there.
  void erase(const token::BlockHash& hash);

  int size() const { return size_; }

 private:
  struct Slot {
    token::BlockHash hash{};
    std::optional<PageId> page;
  };

  size_t home(const token::BlockHash& hash) const { return hash.low & mask_; }
  size_t slot_of(const token::BlockHash& hash) const;

  std::vector<Slot> slots_;
  size_t mask_ = 0;
  int capacity_ = 0;
  int size_ = 0;
};

}  // namespace inferno::kv
