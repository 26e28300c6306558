// Which tokens of which sequences run in the next step.
//
//   waiting --admit--> running --finish--> gone
//      ^                  |
//      +-----preempt------+      its pages are given back; its tokens are kept and computed again
//
// Every step has a budget of tokens. Running sequences get theirs first, those that need one token
// (decoding) before those with a prompt left; then waiting sequences are admitted in the order of
// arrival, as long as the whole prompt fits in the pages that can be had. When the pool runs out in
// the middle, the youngest running sequence is preempted and goes to the front of the queue. A
// sequence alone always fits (the engine refuses longer ones), so the oldest always advances: no
// deadlock, no lost token.
//
// Never sees bytes or weights. Threads: belongs to the engine thread.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "kv/block_pool.h"
#include "schedule/sequence.h"

namespace inferno::schedule {

struct SchedulerConfig {
  int max_num_seqs = 64;             // sequences in one step
  int max_num_batched_tokens = 512;  // tokens in one step
  bool prefix_caching = true;
};

// tokens[first, first + count) of a sequence run in this step; `yields` when they are the last ones
// known, so that the step's logits choose the next.
struct ScheduledChunk {
  Sequence* sequence = nullptr;
  int first = 0;
  int count = 0;
  bool yields = false;
};

// Counts since start, in tokens where the name says so.
struct SchedulerStats {
  int64_t preemption_count = 0;
  int64_t prefix_query_tokens = 0;
  int64_t prefix_hit_tokens = 0;
};

class Scheduler {
 public:
  // The pool outlives the scheduler. Requires: both limits at least 1.
  Scheduler(const SchedulerConfig& config, kv::BlockPool& pool);

  // Queues a sequence, which the caller keeps alive until finish().
  void add(Sequence& sequence);

  // The chunks of the next step, empty when there is nothing to do. Valid until the next call.
  std::span<const ScheduledChunk> schedule();

  // Records that the chunks of the last schedule() are computed: full pages become findable.
  void complete_step();

  // Forgets a sequence in any state and gives back its pages.
  void finish(Sequence& sequence);

  int running_count() const { return static_cast<int>(running_.size()); }
  int waiting_count() const { return static_cast<int>(waiting_.size()); }
  bool idle() const { return running_.empty() && waiting_.empty(); }
  const SchedulerStats& stats() const { return stats_; }

 private:
  enum class Pass : uint8_t { kDecode, kPrefill };

  void schedule_running(Pass pass);
  void admit_waiting();
  bool give_pages(Sequence& sequence, int tokens);
  void adopt_cached_prefix(Sequence& sequence);
  void add_chunk(Sequence& sequence, int count);
  void preempt(Sequence& victim);

  SchedulerConfig config_;
  kv::BlockPool& pool_;
  std::deque<Sequence*> waiting_;
  std::vector<Sequence*> running_;  // in order of admission
  std::vector<ScheduledChunk> chunks_;
  SchedulerStats stats_;
  int budget_ = 0;
  bool preempted_ = false;
};

}  // namespace inferno::schedule
