// What guesses the next tokens of a sequence: prompt lookup is one, a test's liar is another.
//
// A guess costs a row of the step's batch when it is computed, and never changes a token: what is
// chosen is chosen from the same logits by the same random numbers as without it.
//
// Threads: belongs to the engine thread.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/ids.h"

namespace inferno::engine {

// Guesses for one sequence.
class DraftProposer {
 public:
  virtual ~DraftProposer() = default;

  // Appends at most `most` guesses of what follows `tokens` to `drafts`, and returns by how long a
  // match they were found: the longer, the more they are worth. Takes nothing from the heap.
  // Requires: `tokens` begins with the tokens of every call before, `drafts` is empty and has room.
  virtual int propose(std::span<const TokenId> tokens, int most, std::vector<TokenId>& drafts) = 0;
};

// Makes the proposer of a sequence that never has more than `max_tokens` tokens. It may throw
// std::bad_alloc; null means no guesses.
using DraftProposerFactory = std::function<std::unique_ptr<DraftProposer>(int max_tokens)>;

}  // namespace inferno::engine
