#include "schedule/scheduler.h"

#include <algorithm>

#include "base/check.h"

namespace inferno::schedule {

Scheduler::Scheduler(const SchedulerConfig& config, kv::BlockPool& pool)
    : config_(config), pool_(pool) {
  CHECK(config.max_num_seqs >= 1 && config.max_num_batched_tokens >= 1, "{} sequences, {} tokens",
        config.max_num_seqs, config.max_num_batched_tokens);
  running_.reserve(static_cast<size_t>(config.max_num_seqs));
  chunks_.reserve(static_cast<size_t>(config.max_num_seqs));
}

void Scheduler::add(Sequence& sequence) {
  sequence.state = SequenceState::kWaiting;
  waiting_.push_back(&sequence);
}

std::span<const ScheduledChunk> Scheduler::schedule() {
  chunks_.clear();
  budget_ = config_.max_num_batched_tokens;
  preempted_ = false;
  schedule_running(Pass::kDecode);
  schedule_running(Pass::kPrefill);
  if (!preempted_) admit_waiting();
  return chunks_;
}

void Scheduler::schedule_running(Pass pass) {
  // By index: preemption removes sequences from the end while this loop runs.
  for (size_t i = 0; i < running_.size() && budget_ > 0; ++i) {
    Sequence& sequence = *running_[i];
    if ((sequence.pending_count() == 1) != (pass == Pass::kDecode)) continue;
    const int count = std::min(sequence.pending_count(), budget_);
    if (!give_pages(sequence, sequence.computed + count)) return;
    add_chunk(sequence, count);
  }
}

// Takes pages for the first `tokens` positions, preempting younger sequences where it must. False
// when the sequence itself was the youngest and had to go.
bool Scheduler::give_pages(Sequence& sequence, int tokens) {
  while (!sequence.table.grow(pool_, tokens)) {
    Sequence& victim = *running_.back();
    preempt(victim);
    if (&victim == &sequence) return false;
  }
  return true;
}

void Scheduler::preempt(Sequence& victim) {
  running_.pop_back();
  const auto planned = std::ranges::find(chunks_, &victim, &ScheduledChunk::sequence);
  if (planned != chunks_.end()) {
    budget_ += planned->count;
    chunks_.erase(planned);
  }
  victim.table.release(pool_);
  victim.computed = 0;
  victim.state = SequenceState::kPreempted;
  ++victim.preemption_count;
  ++stats_.preemption_count;
  waiting_.push_front(&victim);
  preempted_ = true;
}

void Scheduler::admit_waiting() {
  while (!waiting_.empty() && budget_ > 0 && running_count() < config_.max_num_seqs) {
    Sequence& sequence = *waiting_.front();
    adopt_cached_prefix(sequence);
    const int missing_pages = kv::pages_for(sequence.token_count()) - sequence.table.page_count();
    if (missing_pages > pool_.available_count()) {
      sequence.table.release(pool_);
      sequence.computed = 0;
      return;
    }
    if (!sequence.was_admitted) {
      sequence.was_admitted = true;
      sequence.cached_count = sequence.computed;
      stats_.prefix_query_tokens += config_.prefix_caching ? sequence.prompt_count : 0;
      stats_.prefix_hit_tokens += sequence.computed;
    }
    waiting_.pop_front();
    running_.push_back(&sequence);
    sequence.state = SequenceState::kRunning;
    const int count = std::min(sequence.pending_count(), budget_);
    const bool grown = sequence.table.grow(pool_, sequence.computed + count);
    CHECK(grown, "{} pages were promised, {} are left", missing_pages, pool_.available_count());
    add_chunk(sequence, count);
  }
}

void Scheduler::adopt_cached_prefix(Sequence& sequence) {
  if (!config_.prefix_caching || !sequence.reads_prefix_cache) return;
  sequence.computed += sequence.table.adopt_prefix(pool_, sequence.tokens, sequence.computed);
}

void Scheduler::add_chunk(Sequence& sequence, int count) {
  budget_ -= count;
  chunks_.push_back({.sequence = &sequence,
                     .first = sequence.computed,
                     .count = count,
                     .yields = count == sequence.pending_count()});
}

void Scheduler::complete_step() {
  for (const ScheduledChunk& chunk : chunks_) {
    Sequence& sequence = *chunk.sequence;
    sequence.computed = chunk.first + chunk.count;
    if (config_.prefix_caching) {
      sequence.table.publish_full(pool_, sequence.tokens, sequence.computed);
    }
  }
}

void Scheduler::finish(Sequence& sequence) {
  sequence.table.release(pool_);
  std::erase(running_, &sequence);
  std::erase(waiting_, &sequence);
}

}  // namespace inferno::schedule
