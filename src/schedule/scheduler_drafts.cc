// Scheduler, the part that adds drafts to the decode rows of a step and takes them away again.
// scheduler.h tells the whole story.
#include <algorithm>

#include "base/check.h"
#include "schedule/scheduler.h"

namespace inferno::schedule {
namespace {

// Steps that count for the acceptance of one sequence's drafts: a text changes its nature within
// some sentences. Of all sequences together many more.
constexpr double kSequenceMemory = 16.0;
constexpr double kCommonMemory = 256.0;

}  // namespace

// To be called while the plan holds decode rows and nothing else.
void Scheduler::schedule_drafts() {
  if (draft_limits_.most_tokens == 0) return;
  draft_candidates_.clear();
  for (const ScheduledChunk& chunk : plan_.chunks()) {
    Sequence& sequence = *chunk.sequence;
    // The last token of an answer is never computed.
    const int room = sequence.max_tokens - sequence.token_count() - 1;
    const int most =
        std::min({static_cast<int>(sequence.draft_offer.size()), room, draft_limits_.most_tokens});
    if (most <= 0) continue;
    const double acceptance =
        sequence.draft_acceptance.rate(sequence.draft_match_length, draft_acceptance_);
    draft_candidates_.push_back({.sequence = &sequence, .most = most, .acceptance = acceptance});
  }
  if (draft_candidates_.empty()) return;
  choose_draft_lengths(draft_candidates_, draft_step(), row_cost_, draft_limits_.rule);
  for (const DraftCandidate& candidate : draft_candidates_)
    plan_drafts(candidate);
}

// What surrounds the drafts: who waits for the budget, and for the end of the step.
DraftStep Scheduler::draft_step() const {
  DraftStep step;
  step.decode_rows = static_cast<int>(plan_.chunks().size());
  step.most_drafts = plan_.budget();
  const bool has_prefill =
      waiting_count() > 0 || std::ranges::any_of(running_, [](const Sequence* sequence) {
        return sequence->pending_count() > 1;
      });
  if (has_prefill) {
    step.most_drafts /= 2;
    // The weights are read for the prompts anyway, so what is free without them is not beside them.
    step.least_row_s = step_time_.prefill_seconds(0, 1);
  }
  for (const ScheduledChunk& chunk : plan_.chunks()) {
    const auto index = static_cast<size_t>(chunk.sequence->service_class());
    step.longest_s =
        std::min(step.longest_s, config_.targets[index].tpot_s * ChunkSizer::kTargetShare);
  }
  return step;
}

// As many as there are pages for; nobody gives way to a guess.
void Scheduler::plan_drafts(const DraftCandidate& candidate) {
  Sequence& sequence = *candidate.sequence;
  int count = candidate.chosen;
  if (count == 0) return;
  const int known = sequence.token_count();
  if (!sequence.table.grow(pool_, known + count)) {
    count = std::min(count, sequence.table.page_count() * kv::kPageTokens - known);
  }
  if (count > 0) plan_.add_drafts(sequence, count);
}

// Last of all in a plan: until then a sequence holds nothing but what is known of it.
void Scheduler::append_drafts() {
  for (const ScheduledChunk& chunk : plan_.chunks()) {
    Sequence& sequence = *chunk.sequence;
    sequence.tokens.insert(sequence.tokens.end(), sequence.draft_offer.begin(),
                           sequence.draft_offer.begin() + chunk.draft_count);
    sequence.draft_count = chunk.draft_count;
  }
}

void Scheduler::accept_draft(Sequence& sequence, TimePoint now) {
  CHECK(sequence.verified_count > 0 && sequence.pending_count() == 1,
        "{} drafts were computed, {} tokens are pending", sequence.verified_count,
        sequence.pending_count());
  --sequence.verified_count;
  record_computed(sequence, sequence.computed + 1);
  queue_.charge(*sequence.client, kGeneratedTokenCharge);
  sequence.last_token = now;
}

void Scheduler::learn_drafts(Sequence& sequence, const DraftOutcome& outcome) {
  sequence.draft_acceptance.learn(sequence.draft_match_length, outcome, kSequenceMemory);
  draft_acceptance_.learn(sequence.draft_match_length, outcome, kCommonMemory);
}

}  // namespace inferno::schedule
