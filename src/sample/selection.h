// The largest of many logits without sorting them all.
//
// Order everywhere in sample/: larger logit first, among equals the smaller token id; a NaN is
// below everything and is never selected.
//
// Threads: a Selection belongs to one thread. No allocation once its buffers have grown.
#pragma once

#include <span>
#include <vector>

#include "base/ids.h"
#include "sample/logit_row.h"

namespace inferno::sample {

struct Candidate {
  TokenId token;
  float logit;
};

// The order above.
inline bool comes_before(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

class Selection {
 public:
  // The first `count` tokens in order, best first, with the values the row has for them, among
  // those that are at least at its floor; fewer if there are fewer. The result stays valid until
  // the next call. -infinity as a floor admits -infinity. Cost: a look at the maximum of each block
  // and a pass over those, about `count` of them, that may hold one of the first.
  std::span<const Candidate> largest(const LogitRow& row, int count);

  // Sets every logit but the first `count` in order to -infinity. Cost: O(V).
  void keep_largest(std::span<float> logits, int count);

 private:
  float bar_of_blocks(const LogitRow& row, size_t count);

  std::vector<float> maxima_;
  std::vector<Candidate> candidates_;
};

}  // namespace inferno::sample
