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
  // The first `count` tokens in order, best first, among those whose logit is at least `floor`;
  // fewer if there are fewer. The result stays valid until the next call. -infinity as a floor
  // admits -infinity. Cost: one pass, a comparison each, plus O(count log count) about log(V /
  // count) times.
  std::span<const Candidate> largest(std::span<const float> logits, int count, float floor);

  // Sets every logit but the first `count` in order to -infinity. Cost: O(V).
  void keep_largest(std::span<float> logits, int count);

 private:
  std::vector<Candidate> candidates_;
};

}  // namespace inferno::sample
