// Which tokens of which sequences run in the next step.
//
//   WAITING  --admit---->  RUNNING  --finish-->  gone (from any state)
//   WAITING  --defer---->  DEFERRED     somebody computes its next block (in_flight_blocks.h)
//   DEFERRED --wake----->  WAITING      that is done, or its computer has gone
//   RUNNING  --preempt-->  WAITING      pages given back, tokens kept and computed again
//
// A step hands out a budget of tokens: decode rows first, then prompts in the policy's order, as
// many tokens as keep the running streams smooth (chunk_sizer.h); more than fit into a step are
// carried, by a few layers in each of the next, which take no others but such as have one token to
// compute. A sequence is admitted with the pages of all its tokens; it may be preempted for pages,
// or to make place (preemption.h). One alone always fits (the engine refuses longer ones) and the
// most important running one never gives way: no deadlock, no lost token. A decode row may be
// followed by drafts (draft_lengths.h), which take pages that are left over and nobody's place.
//
// Nothing starves under slo: who has waited or prefilled for A = ageing_s in all enters the aged
// lane, first come first served, and holds its place once admitted through it. The lane is next
// after k - 1 other admissions or A seconds (k = aged_share); then nobody else is admitted
// before it. With n aged ones before it, a sequence begins to run through the lane after at most
//   A + (n + 1) (A + X + Y)    X: what runs at the time ends; Y: one run through the lane,
// Y = D (P / b + G) for P prompt and G generated tokens, D seconds a step, or all that carry the
// same tokens, and b = 1/k of the prefill tokens there is room for, one at least nearly always;
// while decode rows alone fill the budget, D counts until one ends.
// Never sees bytes or weights. Threads: belongs to the engine thread.
// Cost: O(running + chunks log waiting) a step; only construction and add() take from the heap.
#pragma once

#include <boost/intrusive/set.hpp>
#include <cstdint>
#include <span>
#include <vector>

#include "kv/block_pool.h"
#include "kv/block_table.h"
#include "schedule/chunk_sizer.h"
#include "schedule/client.h"
#include "schedule/draft_lengths.h"
#include "schedule/drain_rate.h"
#include "schedule/in_flight_blocks.h"
#include "schedule/length_model.h"
#include "schedule/load_forecast.h"
#include "schedule/page_census.h"
#include "schedule/preemption.h"
#include "schedule/row_cost.h"
#include "schedule/scheduler_config.h"
#include "schedule/scheduler_stats.h"
#include "schedule/sequence.h"
#include "schedule/step_plan.h"
#include "schedule/step_time_model.h"
#include "schedule/waiting_queue.h"

namespace inferno::schedule {

class Scheduler {
 public:
  // The pool outlives the scheduler. Requires: limits, quantum and aged_share at least 1.
  Scheduler(const SchedulerConfig& config, kv::BlockPool& pool, const DraftLimits& drafts = {});
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Queues a sequence, which the caller keeps alive, and where it is, until finish().
  // Requires: its id is not that of another one; its tokens fit into the pool.
  void add(Sequence& sequence, TimePoint now);

  // The chunks of the next step, empty only when there are no sequences. Valid until the next call.
  std::span<const ScheduledChunk> schedule(TimePoint now);

  // Copies of pages to be made, in this order, before the forward pass of the step just scheduled:
  // a fork's last page begins as its parent's, a prompt's as that of a prompt which agrees with it
  // that far. Valid until the next schedule().
  std::span<const kv::PageCopy> page_copies() const { return page_copies_; }

  // Records that the chunks of the last schedule() are computed: full pages become findable, and
  // the step's time (from schedule() to `now`) is learned from. To be called before the tokens the
  // step yielded are appended to their sequences. The chunks stay valid; the drafts are gone from
  // their sequences, as if they had not been computed.
  void complete_step(TimePoint now);

  // Records that the token just appended to a sequence is computed already, as the next draft of
  // the step completed last: what a step of this one row would have recorded.
  // Requires: it is that draft, and all tokens before it are computed.
  void accept_draft(Sequence& sequence, TimePoint now);

  // Learns what became of a sequence's offer, computed or not, when the tokens it spoke of are
  // chosen; to be called before the offer is renewed.
  void learn_drafts(Sequence& sequence, const DraftOutcome& outcome);

  // Says how many drafts a model should make for each of these sequences, which decode next: sets
  // `chosen`, from `sequence`, `most` and `backlog`. `pass_cost`: of the model's passes. Returns
  // how many tokens of longer backlogs than kSettledBacklog it may compute now. Now and then one
  // draft is chosen where none pays, so that it shows when that changes.
  // To be called between complete_step() and the next schedule().
  int choose_offers(std::span<DraftCandidate> candidates, const RowCost& pass_cost);

  // Records that guessing took so long after a step: no token was made in that time.
  void record_drafting(double seconds);

  // Forgets a sequence in any state and gives back its pages. Learns how long its answer was, when
  // it has one. Not between schedule() and complete_step().
  void finish(Sequence& sequence, TimePoint now);

  // A sequence, in any state, whose deadline has passed; null when there is none. It stays until
  // the caller finishes it, so ask again after that. Not between schedule() and complete_step().
  Sequence* next_expired(TimePoint now);

  int running_count() const { return static_cast<int>(running_.size()); }
  int waiting_count() const { return queue_.size(); }
  // Sequences that wait for what another one is computing; not in waiting_count().
  int deferred_count() const { return in_flight_.deferred_count(); }
  bool idle() const { return running_.empty() && waiting_count() == 0 && deferred_count() == 0; }
  const SchedulerStats& stats() const { return stats_; }

  // What can be expected of the near future; cheap enough for every step.
  LoadForecast forecast(TimePoint now) const;

 private:
  enum class Outcome : uint8_t { kAdmitted, kDeferred, kBlocked };

  struct ById {
    using type = uint64_t;
    type operator()(const Sequence& sequence) const { return sequence.id.value; }
  };
  struct ByDeadline {
    bool operator()(const Sequence& a, const Sequence& b) const {
      return a.traits.deadline != b.traits.deadline ? a.traits.deadline < b.traits.deadline
                                                    : a.order < b.order;
    }
  };
  using IdSet =
      intrusive::set<Sequence,
                     intrusive::member_hook<Sequence, Sequence::SetLink, &Sequence::id_link>,
                     intrusive::key_of_value<ById>>;
  using DeadlineSet =
      intrusive::set<Sequence,
                     intrusive::member_hook<Sequence, Sequence::SetLink, &Sequence::deadline_link>,
                     intrusive::compare<ByDeadline>, intrusive::constant_time_size<false>>;

  // scheduler.cc: the step.
  void schedule_decodes();
  bool give_pages(Sequence& sequence, int tokens);
  void schedule_drafts();
  bool drafts_give_way() const;
  bool will_prefill() const;
  DraftStep draft_step(int decode_rows, int budget) const;
  void limit_to_target(DraftStep& step, const Sequence& sequence) const;
  int catch_up_rows(int decode_rows, const RowCost& pass_cost) const;
  void choose_probe(std::span<DraftCandidate> candidates, const RowCost& pass_cost, int most_rows);
  void plan_drafts(const DraftCandidate& candidate);
  void append_drafts();
  void schedule_prefills();
  void schedule_carried();
  void admit_single_rows();
  int carried_tokens() const;
  void carry(Range layers);
  bool is_carried_overtaken();
  void forget_carried();
  void collect_prefills();
  void serve_aged_lane(ChunkSizer& sizer);
  int lane_share(const Sequence& sequence, const ChunkSizer& sizer);
  void serve_in_order(ChunkSizer& sizer);
  void give_chunk(Sequence& sequence, int most, ChunkSizer& sizer);
  void record_chunk(const ScheduledChunk& chunk, TimePoint now);
  void record_computed(Sequence& sequence, int computed);
  void learn_step(TimePoint now);

  // scheduler_admission.cc: in and out of the running ones.
  bool lane_is_due();
  Outcome admit_aged(Sequence& sequence);
  Outcome admit_next(Sequence& sequence);
  Outcome try_admit(Sequence& sequence);
  void copy_tail(Sequence& sequence);
  Outcome try_fork(Sequence& sequence, const Sequence& parent);
  bool lacks_one_token(const Sequence& sequence);
  Sequence* running_parent(const Sequence& sequence);
  bool defer_to_computer(Sequence& sequence, int cached_tokens);
  void defer(Sequence& sequence, Sequence& computer, int tokens);
  void begin_running(Sequence& sequence, kv::Admission admission);
  void count_first_admission(Sequence& sequence);
  bool make_place(Sequence& sequence, PreemptionCause cause);
  bool fits_when_gone(const Sequence& sequence, PreemptionCause cause);
  void preempt(Sequence& victim, PreemptionCause cause);
  void leave_running(Sequence& sequence);
  void queue(Sequence& sequence);

  double prefill_token_s() const;
  double prefill_speed() const;
  double seconds_to_place(request::ServiceClass service_class, int ahead) const;

  SchedulerConfig config_;
  DraftLimits draft_limits_;
  kv::BlockPool& pool_;
  PageCensus page_census_;
  ClientTable clients_;
  WaitingQueue queue_;
  InFlightBlocks in_flight_;
  StepPlan plan_;
  StepTimeModel step_time_;
  RowCost row_cost_;
  DraftAcceptance draft_acceptance_ = DraftAcceptance::prior();  // of all sequences
  LengthModel lengths_;
  DrainRate finished_rate_;
  DrainRate token_rate_;
  DrainRate prefill_rate_;
  IdSet by_id_;
  DeadlineSet deadlines_;
  std::vector<Sequence*> running_;   // in order of admission
  std::vector<Sequence*> prefills_;  // those of this step, in order
  std::vector<Sequence*> carried_;   // whose tokens have been through some layers
  int carried_layers_ = 0;           // that many; the same for all
  std::vector<DraftCandidate> draft_candidates_;
  std::vector<kv::PageCopy> page_copies_;
  SchedulerStats stats_;

  // Of the step being planned.
  TimePoint now_{};
  Range prefill_layers_{};      // which its prefill goes through
  bool is_closed_ = false;      // nobody else is admitted in this step
  bool has_given_way_ = false;  // one sequence has, to make place
  bool is_restricted_ = false;  // a chunk was cut for the running streams
  int deferrals_ = 0;

  bool lacks_pages_ = false;  // the next in order did not fit when it was last looked at
  uint64_t next_order_ = 1;
  uint64_t next_admission_order_ = 1;
  int promoted_count_ = 0;   // running sequences that hold a place of the aged lane
  int overtaken_count_ = 0;  // admissions since the last through the lane, while somebody is aged
  int lane_steps_ = 0;       // since the lane had all of a step that has room for few tokens
  TimePoint last_lane_turn_{};
  double predicted_step_s_ = 0.0;
  double probe_credit_s_ = 0.0;  // what may be spent on drafts of a model that do not seem to pay
};

}  // namespace inferno::schedule
