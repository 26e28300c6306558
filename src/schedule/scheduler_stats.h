// What the scheduler counts, for metrics.
//
// Counts are since start; sums are in seconds; "error" is a relative absolute error as a decayed
// mean over about the last 64 predictions (0.1: ten per cent off).
//
// Threads: a value; the engine thread writes it.
#pragma once

#include <array>
#include <cstdint>

#include "request/request.h"

namespace inferno::schedule {

// What a step consists of, as far as its time depends on it.
struct StepFeatures {
  int decode_rows = 0;       // tokens of sequences that compute one, and their drafts
  int64_t decode_reads = 0;  // positions that attention reads for them, summed over the rows
  int prefill_tokens = 0;    // tokens of all other chunks
  int64_t prefill_reads = 0;
  double prefill_share = 1.0;  // of the layers, through which the step takes these tokens
};

// Per service class; requests without a class count as standard.
struct ClassStats {
  int64_t admitted = 0;     // first admissions
  double wait_sum_s = 0.0;  // arrival to first admission
  double wait_max_s = 0.0;
  int64_t first_tokens = 0;
  int64_t ttft_misses = 0;  // first tokens later than the class's target
  int64_t finished = 0;     // with at least two tokens, so that there was a time between them
  int64_t tpot_misses = 0;  // slower on average than the class's target
};

struct SchedulerStats {
  int64_t preemption_count = 0;      // of the next four together
  int64_t memory_preemptions = 0;    // a running sequence needed a page
  int64_t slack_preemptions = 0;     // a more urgent class was about to miss its target
  int64_t feedback_preemptions = 0;  // a fresh unclassed sequence waited for a long-running one
  int64_t lane_preemptions = 0;      // an aged sequence made those who overtook it give way
  int64_t prefix_query_tokens = 0;
  int64_t prefix_hit_tokens = 0;
  int64_t deferred_count = 0;   // admissions put off because somebody computes the block
  int64_t fork_count = 0;       // admissions that shared a running sequence's pages
  int64_t tail_copy_count = 0;  // admissions that began with a copy of a page
  int64_t aged_promotions = 0;  // admissions through the aged lane
  std::array<ClassStats, request::kServiceClassCount> classes{};
  int64_t fairness_spread_tokens = 0;  // between the counters of waiting clients, to one quantum

  StepFeatures last_step;  // of the last completed step
  double last_step_s = 0.0;
  double last_step_predicted_s = 0.0;  // 0: nothing was predicted yet
  double step_time_error = 0.0;
  double output_length_error = 0.0;
  int64_t restricted_steps = 0;  // steps whose prefill was cut to keep a target or the stretch
};

}  // namespace inferno::schedule
