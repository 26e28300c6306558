// Scheduler, the part that adds drafts to the decode rows of a step and takes them away again.
// scheduler.h tells the whole story.
#include <algorithm>
#include <climits>

#include "base/check.h"
#include "schedule/scheduler.h"

namespace inferno::schedule {
namespace {

// Steps that count for the acceptance of one sequence's drafts: a text changes its nature within
// some sentences. Of all sequences together many more.
constexpr double kSequenceMemory = 16.0;
constexpr double kCommonMemory = 256.0;

// A model that drafts may make a step so much longer to read what it has not seen: running streams
// slow down a little while a prompt is read, for a time that short answers can still win back.
constexpr double kCatchUpShare = 0.5;
// It goes on at least so fast: a pass of so many rows is hardly dearer than one of a single row.
constexpr int kLeastCatchUpRows = 16;
// The part of the time that may go into drafts which do not seem to pay: within the noise of a
// step, and a fast drafter is tried again every few steps.
constexpr double kProbeShare = 0.01;

// Tokens that a sequence is expected to need still. One that outlived its prediction is expected to
// go on for as long again.
int expected_rest(const Sequence& sequence) {
  const int generated = sequence.generated_count();
  return std::min(sequence.max_tokens - sequence.token_count(),
                  std::max(sequence.predicted_new_tokens - generated, generated));
}

}  // namespace

// To be called while the plan holds decode rows and nothing else.
void Scheduler::schedule_drafts() {
  if (draft_limits_.most_tokens == 0 || drafts_give_way()) return;
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
  const int budget = std::max(0, plan_.budget() - carried_tokens());
  DraftStep step = draft_step(static_cast<int>(plan_.chunks().size()), budget);
  for (const ScheduledChunk& chunk : plan_.chunks())
    limit_to_target(step, *chunk.sequence);
  choose_draft_lengths(draft_candidates_, step, row_cost_, draft_limits_.rule);
  for (const DraftCandidate& candidate : draft_candidates_)
    plan_drafts(candidate);
}

// Streams that are to keep their pace beside a prompt keep that of steps without drafts, which is
// the fastest of them all: what time there is beyond it is the prompt's. The same streams as with
// prefill (chunk_sizer.h), whether they have drafts themselves or not.
bool Scheduler::drafts_give_way() const {
  if (draft_limits_.rule == DraftLengthRule::kLongest || config_.max_itl_stretch <= 0.0) {
    return false;
  }
  int decode_rows = 0;
  bool has_unclassed = false;
  for (const Sequence* const sequence : running_) {
    if (sequence->pending_count() != 1) continue;
    ++decode_rows;
    has_unclassed |= !sequence->traits.service_class;
  }
  return has_unclassed && waiting_count() <= decode_rows && will_prefill();
}

// Whether the next step is likely to have prompts to compute.
bool Scheduler::will_prefill() const {
  const bool admits =
      waiting_count() > 0 && running_count() < config_.max_num_seqs && !lacks_pages_;
  return admits || std::ranges::any_of(running_, [](const Sequence* sequence) {
           return sequence->pending_count() > 1;
         });
}

// What surrounds the drafts of a step with so many decode rows: who waits for the budget.
DraftStep Scheduler::draft_step(int decode_rows, int budget) const {
  DraftStep step;
  step.decode_rows = decode_rows;
  step.most_drafts = budget;
  const bool has_prefill =
      waiting_count() > 0 || std::ranges::any_of(running_, [](const Sequence* sequence) {
        return sequence->pending_count() > 1;
      });
  if (has_prefill) {
    step.most_drafts /= 2;
    // The weights are read for the prompts anyway, so what is free without them is not beside them.
    step.least_row_s = prefill_token_s();
  }
  return step;
}

// The step must not last longer than its decode rows may wait for their next token.
void Scheduler::limit_to_target(DraftStep& step, const Sequence& sequence) const {
  const auto index = static_cast<size_t>(sequence.service_class());
  step.longest_s =
      std::min(step.longest_s, config_.targets[index].tpot_s * ChunkSizer::kTargetShare);
}

int Scheduler::choose_offers(std::span<DraftCandidate> candidates, const RowCost& pass_cost) {
  const auto decode_rows = static_cast<int>(candidates.size());
  if (drafts_give_way()) {
    for (DraftCandidate& candidate : candidates)
      candidate.chosen = 0;
    return kLeastCatchUpRows;
  }
  DraftStep step = draft_step(decode_rows, config_.max_num_batched_tokens - decode_rows);
  step.pass_cost = &pass_cost;
  for (DraftCandidate& candidate : candidates) {
    limit_to_target(step, *candidate.sequence);
    candidate.acceptance =
        candidate.sequence->draft_acceptance.rate(DraftAcceptance::kModelMatch, draft_acceptance_);
  }
  const double saved_s = choose_draft_lengths(candidates, step, row_cost_, draft_limits_.rule);
  if (draft_limits_.rule == DraftLengthRule::kLongest) return INT_MAX;
  const int rows = catch_up_rows(decode_rows, pass_cost);
  bool has_chosen = false;
  for (DraftCandidate& candidate : candidates) {
    if (candidate.backlog > kSettledBacklog) {
      const double passes = (candidate.backlog + rows - 1) / rows;
      const double gain_s = expected_rest(*candidate.sequence) * saved_s;
      if (passes * pass_cost.seconds(rows) > gain_s) candidate.chosen = 0;
    }
    has_chosen |= candidate.chosen > 0;
  }
  if (!has_chosen) choose_probe(candidates, pass_cost, rows);
  return rows;
}

// As many tokens as a drafting model may read in a pass beside a step of so many decode rows.
int Scheduler::catch_up_rows(int decode_rows, const RowCost& pass_cost) const {
  const double most_s = kCatchUpShare * row_cost_.seconds(decode_rows);
  const int most = std::min(config_.max_num_batched_tokens, pass_cost.most_rows());
  int rows = kLeastCatchUpRows;
  while (2 * rows <= most && pass_cost.seconds(2 * rows) <= most_s)
    rows *= 2;
  return rows;
}

// One draft, or a pass towards it, of the sequence with the shortest backlog, when enough time has
// gone by without any.
void Scheduler::choose_probe(std::span<DraftCandidate> candidates, const RowCost& pass_cost,
                             int most_rows) {
  probe_credit_s_ += kProbeShare * stats_.last_step_s;
  DraftCandidate* probe = nullptr;
  for (DraftCandidate& candidate : candidates) {
    if (candidate.most < 1 || (probe && candidate.backlog >= probe->backlog)) continue;
    probe = &candidate;
  }
  if (!probe) return;
  const double seconds = pass_cost.seconds(std::clamp(probe->backlog, 1, most_rows));
  if (seconds > probe_credit_s_) return;
  probe_credit_s_ -= seconds;
  probe->chosen = 1;
}

void Scheduler::record_drafting(double seconds) {
  if (seconds <= 0.0) return;
  token_rate_.add(seconds, 0.0);
  finished_rate_.add(seconds, 0.0);
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
