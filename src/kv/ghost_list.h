// The names of the blocks evicted last: how often is something thrown away that is wanted again?
//
// A ring of names, the oldest overwritten, and an index to find one.
//
// Threads: belongs to the engine thread. Cost: O(1) expected a call; no allocation after
//          construction.
#pragma once

#include <vector>

#include "kv/prefix_index.h"
#include "token/block_hash.h"

namespace inferno::kv {

class GhostList {
 public:
  // Remembers at most `capacity` names. Requires: capacity >= 1.
  explicit GhostList(int capacity);

  // Remembers a name, forgetting the oldest when full. Requires: it is not remembered.
  void add(const token::BlockHash& hash);

  // Forgets a name; false when it was not remembered.
  bool take(const token::BlockHash& hash);

  int size() const { return index_.size(); }

 private:
  std::vector<token::BlockHash> ring_;
  std::vector<char> taken_;  // by place in the ring: free, or its name was taken out
  PrefixIndex index_;        // name to place in the ring
  size_t next_ = 0;
};

}  // namespace inferno::kv
