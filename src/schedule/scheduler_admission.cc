// Scheduler, the part that moves sequences in and out of the running ones: admission, forks,
// deferral, preemption. scheduler.h tells the whole story.
#include <algorithm>

#include "base/check.h"
#include "schedule/scheduler.h"

namespace inferno::schedule {
namespace {

// Deferrals in one step: each looks at the whole prompt once, and a thousand requests that wait for
// one prompt must not make a step late.
constexpr int kMaxDeferrals = 32;

}  // namespace

// Whether the next admission belongs to the aged lane.
bool Scheduler::lane_is_due() {
  if (!queue_.aged_front(now_)) {
    overtaken_count_ = 0;
    last_lane_turn_ = now_;
    return false;
  }
  const int places = (config_.max_num_seqs + config_.aged_share - 1) / config_.aged_share;
  if (promoted_count_ >= places) return false;
  return overtaken_count_ >= config_.aged_share - 1 ||
         seconds_between(last_lane_turn_, now_) >= config_.ageing_s;
}

Scheduler::Outcome Scheduler::admit_aged(Sequence& sequence) {
  Outcome outcome = try_admit(sequence);
  if (outcome == Outcome::kBlocked && make_place(sequence, PreemptionCause::kLane)) {
    outcome = try_admit(sequence);
  }
  if (outcome == Outcome::kAdmitted) {
    sequence.promoted = true;
    ++promoted_count_;
    ++stats_.aged_promotions;
    overtaken_count_ = 0;
    last_lane_turn_ = now_;
  }
  return outcome;
}

// Tries to admit the next in order. Nobody behind it is admitted in this step when it does not fit.
Scheduler::Outcome Scheduler::admit_next(Sequence& sequence) {
  Outcome outcome = try_admit(sequence);
  if (outcome == Outcome::kBlocked && config_.policy == Policy::kSlo) {
    const bool place =
        (is_in_danger(sequence, config_, now_) && make_place(sequence, PreemptionCause::kSlack)) ||
        make_place(sequence, PreemptionCause::kFeedback);
    if (place) outcome = try_admit(sequence);
  }
  if (outcome == Outcome::kBlocked) is_closed_ = true;
  if (outcome == Outcome::kDeferred && ++deferrals_ >= kMaxDeferrals) is_closed_ = true;
  if (outcome == Outcome::kAdmitted && queue_.aged_front(now_)) ++overtaken_count_;
  return outcome;
}

Scheduler::Outcome Scheduler::try_admit(Sequence& sequence) {
  if (Sequence* const parent = running_parent(sequence)) {
    if (parent->computed < parent->prompt_count) {
      defer(sequence, *parent, parent->prompt_count);
      return Outcome::kDeferred;
    }
    return try_fork(sequence, *parent);
  }
  const bool adopts = config_.prefix_caching && sequence.reads_prefix_cache;
  const int cached = adopts ? sequence.table.cached_prefix_tokens(pool_) : 0;
  if (adopts && defer_to_computer(sequence, cached)) return Outcome::kDeferred;
  const int all_pages = kv::pages_for(sequence.token_count());
  const bool has_place = running_count() < config_.max_num_seqs;
  if (!has_place) return Outcome::kBlocked;
  lacks_pages_ = all_pages - cached / kv::kPageTokens > pool_.available_count();
  if (lacks_pages_) return Outcome::kBlocked;
  if (adopts) sequence.computed = sequence.table.adopt_prefix(pool_, sequence.tokens, 0);
  // Idle pages that were adopted are not available any more.
  lacks_pages_ = all_pages - sequence.table.page_count() > pool_.available_count();
  if (lacks_pages_) {
    sequence.table.release(pool_);
    sequence.computed = 0;
    return Outcome::kBlocked;
  }
  if (adopts) copy_tail(sequence);
  begin_running(sequence, sequence.was_admitted ? kv::Admission::kResumed : kv::Admission::kFirst);
  return Outcome::kAdmitted;
}

// Begins the page after those adopted with what the cache has of its tokens. The page is one of
// those that the sequence takes in any case.
void Scheduler::copy_tail(Sequence& sequence) {
  const std::optional<kv::CopiedTail> copied = sequence.table.copy_tail(pool_, sequence.tokens);
  if (!copied) return;
  page_copies_.push_back(copied->copy);
  sequence.computed += copied->tokens;
  ++stats_.tail_copy_count;
}

// Whether a waiting sequence would have one token to compute if it were admitted now.
bool Scheduler::lacks_one_token(const Sequence& sequence) {
  if (const Sequence* const parent = running_parent(sequence)) {
    return parent->computed >= parent->prompt_count;
  }
  if (!config_.prefix_caching || !sequence.reads_prefix_cache) return sequence.token_count() == 1;
  return sequence.table.has_all_but_last(pool_, sequence.tokens);
}

// The sequence that this one is a fork of, when it runs and has the same prompt
// (and salt, as far as block names tell).
Sequence* Scheduler::running_parent(const Sequence& sequence) {
  if (!sequence.traits.fork_of || !sequence.reads_prefix_cache) return nullptr;
  if (sequence.generated_count() > 0) return nullptr;  // resumed: its own pages are in the cache
  const auto found = by_id_.find(sequence.traits.fork_of->value);
  if (found == by_id_.end() || found->state != SequenceState::kRunning) return nullptr;
  const bool same_prompt =
      found->prompt_count == sequence.prompt_count &&
      found->table.block_hash(0) == sequence.table.block_hash(0) &&
      std::equal(sequence.tokens.begin(), sequence.tokens.end(), found->tokens.begin());
  return same_prompt ? &*found : nullptr;
}

Scheduler::Outcome Scheduler::try_fork(Sequence& sequence, const Sequence& parent) {
  if (running_count() >= config_.max_num_seqs) return Outcome::kBlocked;
  // One page of its own: for the last token of the prompt, whose logits it needs.
  lacks_pages_ = pool_.available_count() < 1;
  if (lacks_pages_) return Outcome::kBlocked;
  const int shared = sequence.prompt_count - 1;
  if (shared > 0) {
    const std::optional<kv::ForkedPrefix> forked =
        sequence.table.fork_prefix(pool_, parent.table, shared);
    CHECK(forked.has_value(), "{} pages are available", pool_.available_count());
    if (forked->copy) page_copies_.push_back(*forked->copy);
    sequence.computed = shared;
  }
  ++stats_.fork_count;
  begin_running(sequence, kv::Admission::kForked);
  return Outcome::kAdmitted;
}

// Defers a sequence whose next block after the `cached_tokens` in the pool is being computed.
bool Scheduler::defer_to_computer(Sequence& sequence, int cached_tokens) {
  const std::optional<token::BlockHash> wanted =
      sequence.table.block_hash(cached_tokens / kv::kPageTokens);
  if (!wanted) return false;
  Sequence* const computer = in_flight_.computer_of(*wanted);
  if (!computer) return false;
  const int shared = shared_block_tokens(sequence, *computer);
  if (shared <= computer->computed) return false;
  defer(sequence, *computer, shared);
  return true;
}

// The computer is as urgent and as old as the most urgent and the oldest that wait for it.
void Scheduler::defer(Sequence& sequence, Sequence& computer, int tokens) {
  queue_.remove(sequence);
  in_flight_.defer(sequence, computer, tokens);
  ++stats_.deferred_count;
  if (config_.policy != Policy::kSlo) return;
  computer.inherited_tier =
      std::min(tier_of(sequence, config_.policy), running_tier(computer, config_.policy));
  if (!computer.patience_s) computer.aged_at = std::min(computer.aged_at, sequence.aged_at);
}

// Moves a waiting sequence that holds its prefix to the running ones, with pages for all its
// tokens.
void Scheduler::begin_running(Sequence& sequence, kv::Admission admission) {
  queue_.remove(sequence);
  const bool grown = sequence.table.grow(pool_, sequence.token_count());
  CHECK(grown, "pages for {} tokens were promised, {} are left", sequence.token_count(),
        pool_.available_count());
  if (config_.prefix_caching) sequence.table.record_admission(pool_, admission);
  sequence.state = SequenceState::kRunning;
  sequence.admission_order = next_admission_order_++;
  sequence.served_tokens = std::max(sequence.served_tokens, sequence.computed);
  sequence.served_at_admission = sequence.served_tokens;
  running_.push_back(&sequence);
  if (config_.prefix_caching) in_flight_.update(sequence);
  if (!sequence.was_admitted) count_first_admission(sequence);
}

void Scheduler::count_first_admission(Sequence& sequence) {
  sequence.was_admitted = true;
  sequence.cached_count = sequence.computed;
  if (config_.prefix_caching) {
    stats_.prefix_query_tokens += sequence.prompt_count;
    stats_.prefix_hit_tokens += sequence.computed;
  }
  ClassStats& stats = stats_.classes[static_cast<size_t>(sequence.service_class())];
  const double wait_s = std::max(0.0, seconds_between(sequence.traits.arrival, now_));
  ++stats.admitted;
  stats.wait_sum_s += wait_s;
  stats.wait_max_s = std::max(stats.wait_max_s, wait_s);
  const int to_compute = sequence.prompt_count - sequence.cached_count;
  queue_.charge(*sequence.client, int64_t{kPromptTokenCharge} * to_compute);
}

// Preempts the one who should give way to `sequence`, unless one has in this step already, or all
// who might would not be enough.
bool Scheduler::make_place(Sequence& sequence, PreemptionCause cause) {
  if (has_given_way_) return false;
  Sequence* const victim = who_gives_way(running_, sequence, cause);
  if (!victim || !fits_when_gone(sequence, cause)) return false;
  has_given_way_ = true;
  preempt(*victim, cause);
  std::erase(running_, victim);
  return true;
}

// Whether there would be pages enough for a waiting sequence if all who may give way to it went.
bool Scheduler::fits_when_gone(const Sequence& sequence, PreemptionCause cause) {
  int missing = kv::pages_for(sequence.token_count()) - pool_.available_count();
  if (missing <= 0) return true;
  page_census_.begin();
  for (const Sequence* const other : running_) {
    if (may_give_way(*other, sequence, cause)) missing -= page_census_.add(other->table);
  }
  if (!config_.prefix_caching || !sequence.reads_prefix_cache) return missing <= 0;
  // Of the pages that it finds in the cache, those that nobody holds are among the available ones.
  const int found_blocks = sequence.table.cached_prefix_tokens(pool_) / kv::kPageTokens;
  for (int block = 0; block < found_blocks; ++block) {
    const std::optional<PageId> page = pool_.find(*sequence.table.block_hash(block));
    if (page && page_census_.stays_held(*page)) --missing;
  }
  return missing <= 0;
}

// The victim stays in running_, which the caller clears of it.
void Scheduler::preempt(Sequence& victim, PreemptionCause cause) {
  plan_.remove(victim);
  const bool was_promoted = victim.promoted;
  leave_running(victim);
  victim.computed = 0;
  victim.inherited_tier.reset();
  if (victim.patience_s && !was_promoted && victim.aged_at != TimePoint::max()) {
    victim.aged_at = after_seconds(now_, *victim.patience_s);
  }
  victim.patience_s.reset();
  ++victim.preemption_count;
  ++stats_.preemption_count;
  switch (cause) {
    case PreemptionCause::kMemory:
      ++stats_.memory_preemptions;
      break;
    case PreemptionCause::kSlack:
      ++stats_.slack_preemptions;
      break;
    case PreemptionCause::kFeedback:
      ++stats_.feedback_preemptions;
      break;
    case PreemptionCause::kLane:
      ++stats_.lane_preemptions;
      break;
  }
  queue(victim);
}

// Gives back the pages and the place of a running sequence, and wakes those who wait for it.
void Scheduler::leave_running(Sequence& sequence) {
  sequence.state = SequenceState::kOutside;
  while (Sequence* const waiter = in_flight_.pop_any(sequence))
    queue(*waiter);
  in_flight_.remove(sequence);
  if (sequence.carried_count > 0) std::erase(carried_, &sequence);
  sequence.carried_count = 0;
  if (config_.prefix_caching) {
    sequence.table.retire(pool_, sequence.tokens, sequence.computed);
  } else {
    sequence.table.release(pool_);
  }
  if (sequence.promoted) --promoted_count_;
  sequence.promoted = false;
}

void Scheduler::queue(Sequence& sequence) {
  sequence.state = SequenceState::kWaiting;
  queue_.push(sequence);
}

}  // namespace inferno::schedule
