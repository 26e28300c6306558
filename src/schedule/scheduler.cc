#include "schedule/scheduler.h"

#include <algorithm>
#include <climits>
#include <tuple>

#include "base/check.h"

namespace inferno::schedule {

Scheduler::Scheduler(const SchedulerConfig& config, kv::BlockPool& pool, const DraftLimits& drafts)
    : config_(config),
      draft_limits_(drafts),
      pool_(pool),
      page_census_(pool),
      clients_(config.max_idle_clients),
      queue_(config),
      in_flight_(config.max_num_seqs),
      plan_(config) {
  CHECK(config.max_num_seqs >= 1 && config.max_num_batched_tokens >= 1, "{} sequences, {} tokens",
        config.max_num_seqs, config.max_num_batched_tokens);
  CHECK(config.aged_share >= 1, "one in {} admissions for the aged", config.aged_share);
  const auto most = static_cast<size_t>(config.max_num_seqs);
  running_.reserve(most);
  prefills_.reserve(most + 1);  // one may be admitted in the place of one that gave way
  carried_.reserve(most);
  page_copies_.reserve(2 * (most + 1));  // prefill is planned anew when all rows gave way
  draft_candidates_.reserve(most);
}

void Scheduler::add(Sequence& sequence, TimePoint now) {
  CHECK(sequence.state == SequenceState::kOutside, "sequence {} is added twice", sequence.id.value);
  queue_.reserve(static_cast<int>(by_id_.size()) + 1);  // first: it may fail, the rest must not
  sequence.order = next_order_++;
  sequence.client = &clients_.join(sequence.traits.client);
  sequence.predicted_new_tokens = lengths_.predict(
      sequence.client->lengths, sequence.service_class(), sequence.traits.max_new_tokens);
  if (config_.prefix_caching) {
    sequence.table.hash_prompt(sequence.tokens);
    if (sequence.reads_prefix_cache) {
      sequence.expected_cached = sequence.table.cached_prefix_tokens(pool_) +
                                 sequence.table.cached_tail_tokens(pool_, sequence.tokens);
    }
  }
  const double rate = prefill_speed();
  const int to_compute = sequence.prompt_count - sequence.expected_cached;
  sequence.slack_key = slack_key(sequence, config_, rate > 0.0 ? to_compute / rate : 0);
  const bool ages = config_.policy == Policy::kSlo && config_.ageing_s < kNoTarget;
  sequence.aged_at = ages ? after_seconds(now, config_.ageing_s) : TimePoint::max();
  const bool is_unique = by_id_.insert(sequence).second;
  CHECK(is_unique, "there are two sequences {}", sequence.id.value);
  if (sequence.traits.deadline) deadlines_.insert(sequence);
  queue(sequence);
}

std::span<const ScheduledChunk> Scheduler::schedule(TimePoint now) {
  now_ = now;
  is_closed_ = false;
  has_given_way_ = false;
  is_restricted_ = false;
  deferrals_ = 0;
  page_copies_.clear();
  plan_.clear();
  schedule_decodes();
  schedule_drafts();
  if (carried_tokens() > plan_.budget()) forget_carried();
  if (is_carried_overtaken()) {
    for (Sequence* const sequence : carried_)
      sequence->gave_way_at = sequence->computed;
    forget_carried();
  }
  if (carried_.empty()) {
    schedule_prefills();
    if (has_given_way_) schedule_decodes();  // who was left out takes what the one that went had
    if (plan_.chunks().empty()) {
      // The rows for whose sake prefill was held back have given way themselves.
      is_closed_ = false;
      schedule_prefills();
    }
  } else {
    schedule_carried();
  }
  admit_single_rows();
  carry(prefill_layers_);
  append_drafts();
  stats_.restricted_steps += is_restricted_ ? 1 : 0;
  stats_.fairness_spread_tokens = queue_.counter_spread();
  predicted_step_s_ = step_time_.is_trusted() ? step_time_.predict(plan_.features()) : 0.0;
  return plan_.chunks();
}

void Scheduler::schedule_decodes() {
  for (Sequence* const sequence : running_) {
    if (plan_.budget() == 0) break;
    if (sequence->state != SequenceState::kRunning || sequence->pending_count() != 1) continue;
    if (sequence->chunk_index) continue;
    if (give_pages(*sequence, sequence->token_count())) plan_.add(*sequence, 1);
  }
  std::erase_if(running_, [](const Sequence* s) { return s->state != SequenceState::kRunning; });
}

// Takes pages for the first `tokens` positions, preempting others where it must. False when the
// sequence itself was the least important and had to go. Leaves the preempted in running_.
bool Scheduler::give_pages(Sequence& sequence, int tokens) {
  while (!sequence.table.grow(pool_, tokens)) {
    Sequence& victim = *memory_victim(running_, config_.policy);
    preempt(victim, PreemptionCause::kMemory);
    is_closed_ = true;  // what was freed is for those who run
    if (&victim == &sequence) return false;
  }
  return true;
}

void Scheduler::schedule_prefills() {
  lacks_pages_ = false;
  ChunkSizer sizer(plan_, step_time_, waiting_count(), config_);
  collect_prefills();
  serve_aged_lane(sizer);
  serve_in_order(sizer);
  prefill_layers_ = {0, sizer.layers_of(config_.layer_count)};
}

// Takes on what is carried.
void Scheduler::schedule_carried() {
  ChunkSizer sizer(plan_, step_time_, waiting_count(), config_);
  for (const Sequence* const sequence : carried_)
    sizer.spend(sequence->computed, sequence->carried_count);
  const int left = config_.layer_count - carried_layers_;
  const int layers = sizer.layers_of(left);
  is_restricted_ |= layers < left;
  prefill_layers_ = {carried_layers_, carried_layers_ + layers};
  if (layers == 0) return;
  for (Sequence* const sequence : carried_)
    plan_.add(*sequence, sequence->carried_count);
}

// Whatever is left for prefill, or carried: those next in order who have one token to compute
// begin. A row more is all they cost. Nobody gives way to them.
void Scheduler::admit_single_rows() {
  // What is carried and rests in this step has its room in the next one.
  const int reserved = prefill_layers_.begin == prefill_layers_.end ? carried_tokens() : 0;
  while (plan_.budget() > reserved && !is_closed_ && !lane_is_due()) {
    Sequence* const next = queue_.front();
    if (next == nullptr || running_count() >= config_.max_num_seqs) return;
    if (!lacks_one_token(*next)) return;
    if (try_admit(*next) != Outcome::kAdmitted) return;
    if (queue_.aged_front(now_)) ++overtaken_count_;
    if (next->pending_count() == 1) plan_.add(*next, 1);
  }
}

int Scheduler::carried_tokens() const {
  int tokens = 0;
  for (const Sequence* const sequence : carried_)
    tokens += sequence->carried_count;
  return tokens;
}

// Prefill goes through some layers only: what is planned of it is carried from now on.
void Scheduler::carry(Range layers) {
  if (layers.begin == 0 && layers.end == config_.layer_count) return;
  plan_.carry_prefills(layers);
  if (!carried_.empty()) return;
  int row = 0;
  for (const ScheduledChunk& chunk : plan_.chunks()) {
    if (chunk.is_decode()) continue;
    chunk.sequence->carried_count = chunk.count;
    chunk.sequence->carry_row = row;
    row += chunk.count;
    carried_.push_back(chunk.sequence);
  }
  is_restricted_ |= !carried_.empty();
}

// Whether what is carried has to begin anew for the sake of one that waits and has a better tier
// than all of it: once for the same tokens, so that it gets on, and not when it has aged. One with
// one token to compute begins beside it.
bool Scheduler::is_carried_overtaken() {
  const Sequence* const waiting = queue_.front();
  if (carried_.empty() || waiting == nullptr || config_.policy != Policy::kSlo) return false;
  const bool is_better = std::ranges::all_of(carried_, [&](const Sequence* sequence) {
    return sequence->gave_way_at != sequence->computed && sequence->aged_at > now_ &&
           tier_of(*waiting, config_.policy) < running_tier(*sequence, config_.policy);
  });
  return is_better && !lacks_one_token(*waiting);
}

void Scheduler::forget_carried() {
  for (Sequence* const sequence : carried_)
    sequence->carried_count = 0;
  carried_.clear();
}

void Scheduler::collect_prefills() {
  prefills_.clear();
  for (Sequence* const sequence : running_) {
    if (sequence->pending_count() > 1) prefills_.push_back(sequence);
  }
  if (config_.policy != Policy::kSlo) return;
  std::ranges::sort(prefills_, {}, [](const Sequence* sequence) {
    return std::tuple(running_tier(*sequence, Policy::kSlo), sequence->client->bucket,
                      sequence->slack_key, sequence->order);
  });
}

// The share of this step's prefill that belongs to the aged: to the longest overtaken one that
// prefills already, or to one that is admitted now.
void Scheduler::serve_aged_lane(ChunkSizer& sizer) {
  Sequence* oldest = nullptr;
  for (Sequence* const sequence : prefills_) {
    if (sequence->aged_at > now_) continue;
    if (!oldest || sequence->aged_at < oldest->aged_at) oldest = sequence;
  }
  if (oldest) give_chunk(*oldest, lane_share(*oldest, sizer), sizer);
  if (is_closed_ || !lane_is_due()) return;
  Sequence& next = *queue_.aged_front(now_);
  const Outcome outcome = admit_aged(next);
  if (outcome == Outcome::kBlocked) is_closed_ = true;
  if (outcome != Outcome::kAdmitted) return;
  if (!oldest || oldest->state != SequenceState::kRunning) {
    give_chunk(next, lane_share(next, sizer), sizer);
  }
  prefills_.push_back(&next);  // for what the others leave
}

// One in aged_share of the tokens of this sequence that the step has room for; where those are few,
// all of them in one of aged_share steps.
int Scheduler::lane_share(const Sequence& sequence, const ChunkSizer& sizer) {
  const int room = std::min(plan_.budget(), sizer.limit(sequence.computed));
  if (room >= config_.aged_share) return room / config_.aged_share;
  if (room <= 0 || ++lane_steps_ < config_.aged_share) return 0;
  lane_steps_ = 0;
  return room;
}

// Running prompts and waiting ones in one order. A waiting one overtakes a running one only with a
// better tier: within a tier, what was begun is brought to its end first.
void Scheduler::serve_in_order(ChunkSizer& sizer) {
  size_t next = 0;
  bool has_overtaken = false;
  while (plan_.budget() > 0 && sizer.limit(0) > 0) {
    Sequence* const waiting = is_closed_ ? nullptr : queue_.front();
    Sequence* const running = next < prefills_.size() ? prefills_[next] : nullptr;
    if (running && running->state != SequenceState::kRunning) {
      ++next;
      continue;
    }
    if (!waiting && !running) break;
    const bool overtakes =
        running && waiting && config_.policy == Policy::kSlo &&
        tier_of(*waiting, config_.policy) < running_tier(*running, config_.policy);
    if (running && !overtakes) {
      // What a better one has begun to be carried with would only make its way longer.
      if (has_overtaken && sizer.needs_more_steps()) break;
      give_chunk(*running, INT_MAX, sizer);
      ++next;
    } else if (admit_next(*waiting) == Outcome::kAdmitted) {
      give_chunk(*waiting, INT_MAX, sizer);
      has_overtaken |= overtakes;
    }
  }
}

void Scheduler::give_chunk(Sequence& sequence, int most, ChunkSizer& sizer) {
  const int first = sequence.computed + plan_.planned_of(sequence);
  const int allowed = std::min(plan_.unplanned_of(sequence), plan_.budget());
  const bool is_row = sequence.pending_count() == 1;  // and costs what a decode row costs
  const int limit = is_row ? 1 : sizer.limit(first);
  if (limit < std::min(allowed, most)) is_restricted_ = true;
  const int count = std::min({allowed, most, limit});
  if (count <= 0) return;
  plan_.add(sequence, count);
  if (!is_row) sizer.spend(first, count);
}

void Scheduler::complete_step(TimePoint now) {
  learn_step(now);
  for (const ScheduledChunk& chunk : plan_.chunks()) {
    if (!chunk.is_unfinished) record_chunk(chunk, now);
  }
  if (prefill_layers_.end == config_.layer_count) forget_carried();
  carried_layers_ = prefill_layers_.end;
  plan_.close();
}

void Scheduler::record_computed(Sequence& sequence, int computed) {
  sequence.computed = computed;
  sequence.served_tokens = std::max(sequence.served_tokens, sequence.computed);
  if (config_.prefix_caching) {
    sequence.table.publish_full(pool_, sequence.tokens, sequence.computed);
    if (sequence.is_computing) in_flight_.update(sequence);
  }
  while (Sequence* const waiter = in_flight_.pop_ready(sequence))
    queue(*waiter);
}

void Scheduler::record_chunk(const ScheduledChunk& chunk, TimePoint now) {
  Sequence& sequence = *chunk.sequence;
  sequence.tokens.resize(sequence.tokens.size() - static_cast<size_t>(sequence.draft_count));
  sequence.draft_count = 0;
  sequence.verified_count = chunk.draft_count;
  record_computed(sequence, chunk.first + chunk.known_count());
  if (!chunk.yields) return;
  queue_.charge(*sequence.client, kGeneratedTokenCharge);
  sequence.last_token = now;
  if (!sequence.patience_s) {
    sequence.patience_s = std::max(0.0, seconds_between(now, sequence.aged_at));
    sequence.inherited_tier.reset();
  }
  if (sequence.generated_count() > 0) return;
  sequence.first_token = now;
  const auto index = static_cast<size_t>(sequence.service_class());
  ClassStats& stats = stats_.classes[index];
  ++stats.first_tokens;
  const double ttft_s = seconds_between(sequence.traits.arrival, now);
  if (ttft_s > config_.targets[index].ttft_s) ++stats.ttft_misses;
}

void Scheduler::learn_step(TimePoint now) {
  if (plan_.chunks().empty()) return;
  const StepFeatures features = plan_.features();
  const double seconds = seconds_between(now_, now);
  const double prefill_tokens = features.prefill_share * features.prefill_tokens;
  double tokens = features.decode_rows + prefill_tokens;
  for (const ScheduledChunk& chunk : plan_.chunks())
    tokens -= chunk.draft_count;  // nobody waits for a guess
  step_time_.learn(features, seconds);
  if (features.prefill_tokens == 0) row_cost_.learn(features.decode_rows, seconds);
  token_rate_.add(seconds, tokens);
  finished_rate_.add(seconds, 0.0);
  if (prefill_tokens > 0.0) prefill_rate_.add(seconds, prefill_tokens);
  stats_.last_step = features;
  stats_.last_step_s = seconds;
  stats_.last_step_predicted_s = predicted_step_s_;
  stats_.step_time_error = step_time_.error();
}

void Scheduler::finish(Sequence& sequence, TimePoint now) {
  switch (sequence.state) {
    case SequenceState::kOutside:
      CHECK(false, "sequence {} is not here", sequence.id.value);
      break;
    case SequenceState::kWaiting:
      queue_.remove(sequence);
      break;
    case SequenceState::kDeferred:
      in_flight_.cancel(sequence);
      break;
    case SequenceState::kRunning:
      leave_running(sequence);
      std::erase(running_, &sequence);
      break;
  }
  sequence.state = SequenceState::kOutside;
  by_id_.erase(by_id_.iterator_to(sequence));
  if (sequence.traits.deadline) deadlines_.erase(deadlines_.iterator_to(sequence));
  const int generated = sequence.generated_count();
  if (generated > 0) {
    lengths_.learn(sequence.client->lengths, sequence.service_class(),
                   {.predicted = sequence.predicted_new_tokens, .generated = generated});
    stats_.output_length_error = lengths_.error();
    finished_rate_.add_amount(1.0);
  }
  if (generated > 1) {
    const auto index = static_cast<size_t>(sequence.service_class());
    ++stats_.classes[index].finished;
    const double tpot_s =
        seconds_between(sequence.first_token, sequence.last_token) / (generated - 1);
    if (tpot_s > config_.targets[index].tpot_s) ++stats_.classes[index].tpot_misses;
  }
  clients_.leave(*sequence.client);
  sequence.client = nullptr;
  if (idle()) {
    last_lane_turn_ = now;
    lacks_pages_ = false;
  }
}

Sequence* Scheduler::next_expired(TimePoint now) {
  if (deadlines_.empty() || *deadlines_.begin()->traits.deadline > now) return nullptr;
  return &*deadlines_.begin();
}

}  // namespace inferno::schedule
