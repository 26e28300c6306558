// The step being planned: which tokens of which sequences, and what is left of its budget.
//
// Threads: belongs to the engine thread. Cost: add O(1), remove O(chunks); no allocation after
//          construction.
#pragma once

#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "schedule/scheduler_config.h"
#include "schedule/scheduler_stats.h"
#include "schedule/sequence.h"

namespace inferno::schedule {

// tokens[first, first + count) of a sequence run in this step; `yields` when all that is known is
// computed then, so that the step's logits choose the next. The last `draft_count` of them are
// drafts: their logits choose what follows as far as the drafts before them are what was chosen.
//
// A chunk that is not a decode row may go through some of the layers only, `layers`; as long as it
// `is_unfinished` after them, the next steps take it on.
struct ScheduledChunk {
  Sequence* sequence = nullptr;
  int first = 0;
  int count = 0;
  int draft_count = 0;
  bool yields = false;
  bool is_unfinished = false;
  Range layers{};

  int known_count() const { return count - draft_count; }
  // One known token, after which the next one is chosen, and drafts.
  bool is_decode() const { return known_count() == 1 && yields; }
};

class StepPlan {
 public:
  explicit StepPlan(const SchedulerConfig& config);

  // Starts an empty plan with the whole budget.
  void clear();

  // Nothing is added to the plan any more, and its sequences may go; chunks() stays as it is.
  void close();

  // Plans `count` more tokens of a sequence, after those it is already planned with.
  // Requires: 1 <= count <= budget() and no more than are pending.
  void add(Sequence& sequence, int count);

  // Plans drafts of a sequence, after the last token known.
  // Requires: 1 <= count <= budget(); it is in the plan with all that is pending.
  void add_drafts(Sequence& sequence, int count);

  // Says through which layers the chunks that are not decode rows go; they come last from now on,
  // in the order in which they were added, like those before them; and nothing is added any more.
  // Without this all go through all layers.
  void carry_prefills(Range layers);

  // Takes a sequence out, when it is in, and gives its tokens back to the budget.
  void remove(Sequence& sequence);

  std::span<const ScheduledChunk> chunks() const { return chunks_; }
  int budget() const { return budget_; }  // tokens left
  // Known tokens of the sequence in this step; of those it has pending, the ones not in it.
  int planned_of(const Sequence& sequence) const;
  int unplanned_of(const Sequence& sequence) const;

  // What the step consists of so far. The drafts of a decode row count as decode rows.
  StepFeatures features() const;

 private:
  int max_tokens_;
  int layer_count_;
  int budget_ = 0;
  std::vector<ScheduledChunk> chunks_;
};

}  // namespace inferno::schedule
