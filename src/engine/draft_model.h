// Guesses by a small model that reads the same sequences and goes on greedily.
//
//   known tokens      t0 t1 ... t41 t42          the model has read [0, computed)
//   first pass        reads [computed, 43), all sequences' rest together   -> d1
//   second pass       reads d1 of every sequence that wants a second       -> d2, and so on
//
//   next call         t0 ... t42 d1 d2 x: what came true is read already, the rest is read over
//
// It has pages of its own for what it read (kv/block_table.h, so equal prefixes are read once), and
// it may lose them at any time: a sequence that finds no page takes those of sequences that have
// not guessed for the longest; where even those do not suffice for all of its tokens it gives back
// its own and has no guesses. What was lost is read again. Nobody's tokens depend on any of this.
//
// Invariant: the positions [0, computed) of a state's pages hold the first known tokens; only such
//            are published, so what a draft left behind is never found by others.
// Threads:   belongs to the engine thread; its passes use the pool.
// Cost:      a call makes as many passes as the most guesses wanted of one sequence, each over one
//            row a sequence, the first over what is to be read; only begin() allocates.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "engine/draft_proposer.h"
#include "kernel/kernels.h"
#include "kv/block_pool.h"
#include "model/forward_pass.h"

namespace inferno::engine {

class DraftModel final : public DraftProposer {
 public:
  // What it stands on; all of it outlives the proposer.
  struct Parts {
    model::ForwardPass& model;  // with pages of its own
    const kernel::KernelTable& table;
    ThreadPool& pool;
    const Clock& clock;
  };

  struct Limits {
    int page_count = 1;          // of the model's pages
    int batch_tokens = 512;      // rows of its largest pass
    int max_sequences = 64;      // jobs of a call
    int max_tokens = 0;          // of a sequence it can read: longer ones get no guesses
    int guessable_tokens = 0;    // guesses are lower ids than this: what the other model knows
    bool prefix_caching = true;  // equal prefixes are read once
  };

  DraftModel(const Parts& parts, const Limits& limits);
  // Requires: every state is gone.
  ~DraftModel() override;
  DraftModel(const DraftModel&) = delete;
  DraftModel& operator=(const DraftModel&) = delete;

  std::unique_ptr<DraftState> begin(const DraftSubject& subject) override;
  void propose(std::span<DraftJob> jobs, int catch_up_tokens) override;
  const schedule::RowCost* pass_cost() const override { return &pass_cost_; }
  std::optional<int> backlog(DraftState& state, std::span<const TokenId> tokens) override;
  int held_page_count() const override { return pages_.in_use_count(); }

  const kv::BlockPool& pages() const { return pages_; }

 private:
  struct State;

  // A job in the pass being computed.
  struct Lane {
    DraftJob* job = nullptr;
    State* state = nullptr;
    int count = 0;       // tokens it reads in this pass
    int logits_row = 0;  // of them the last one, when it guesses
  };

  static State& state_of(const DraftJob& job);
  void forget(State& state);
  void give_up_pages(State& state);
  void settle(State& state, std::span<const TokenId> tokens);
  bool has_pages_for(State& state, int positions);
  State* idle_longest();
  void add_lane(DraftJob& job, int& catch_up_tokens);
  bool is_readable(std::span<const TokenId> tokens) const;
  void read_known();
  void read_drafts();
  void guess();

  Parts parts_;
  Limits limits_;
  kv::BlockPool pages_;
  schedule::RowCost pass_cost_;
  std::vector<State*> states_;
  std::vector<Lane> lanes_;
  std::vector<model::ForwardPiece> pieces_;
  std::vector<int> rows_;      // of the pass, whose logits are wanted
  std::vector<float> logits_;  // [max_logit_rows, V]
  std::vector<TokenId> guesses_;
  int row_budget_ = 0;  // rows left in the pass
  int64_t call_ = 0;    // calls of propose()
};

}  // namespace inferno::engine
