// What guesses the next tokens of sequences: prompt lookup is one, a small model another, a test's
// liar a third.
//
// A guess costs a row of the step's batch when it is computed, and never changes a token: what is
// chosen is chosen from the same logits by the same random numbers as without it. Where making a
// guess costs something itself, pass_cost() and backlog() say how much, and the scheduler decides
// who gets how many.
//
// There is one proposer for an engine, asked once after each step for all sequences together, so
// that one which computes can compute them as a batch.
//
// Threads: belongs to the engine thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "schedule/row_cost.h"
#include "token/block_hash.h"

namespace inferno::engine {

// What a proposer keeps of one sequence, until the sequence ends.
class DraftState {
 public:
  virtual ~DraftState() = default;
};

// A sequence that guesses will be wanted for.
struct DraftSubject {
  int max_tokens = 0;       // it never has more
  token::BlockHash root{};  // sequences of different roots share nothing that is kept of them
};

// Guesses wanted for one sequence.
struct DraftJob {
  DraftState* state = nullptr;             // what begin() made for it
  std::span<const TokenId> tokens;         // known; those of the call before and more
  int most = 0;                            // guesses at most
  std::vector<TokenId>* drafts = nullptr;  // where they go: empty, with room for them
  int* match_length = nullptr;  // set to how much they are worth (schedule/draft_acceptance.h)
};

class DraftProposer {
 public:
  virtual ~DraftProposer() = default;

  // Begins with a sequence. May throw std::bad_alloc; null: nothing is guessed for it.
  virtual std::unique_ptr<DraftState> begin(const DraftSubject& subject) = 0;

  // Appends guesses of what follows the tokens of each job to its drafts. A proposer that reads
  // what it has not seen yet reads at most `catch_up_tokens` of backlogs longer than
  // schedule::kSettledBacklog. Takes nothing from the heap.
  // Requires: one job for a state.
  virtual void propose(std::span<DraftJob> jobs, int catch_up_tokens) = 0;

  // What a pass of so many rows costs that makes one guess for each of its sequences; null: guesses
  // cost next to nothing.
  virtual const schedule::RowCost* pass_cost() const { return nullptr; }

  // Tokens that have to be read for the first guess; none when there can be no guess.
  virtual std::optional<int> backlog(DraftState&, std::span<const TokenId> /*tokens*/) { return 0; }

  // Pages of its own that it holds for sequences.
  virtual int held_page_count() const { return 0; }
};

}  // namespace inferno::engine
