// How urgent a sequence is: the first thing that policy slo looks at.
//
//   tier = (priority, class, feedback level), compared in this order, lower first
//
// Requests that name no class get feedback levels instead of trust (multi-level feedback queues;
// Corbato et al., "An Experimental Time-Sharing System", 1962): the more tokens of service one has
// had, the lower its level, so short requests overtake long ones without being told which is which.
//
// Threads: pure functions.
#pragma once

#include <array>
#include <compare>
#include <cstdint>

#include "base/clock.h"
#include "schedule/scheduler_config.h"

namespace inferno::schedule {

struct Sequence;

struct Tier {
  int32_t priority = 0;
  uint8_t class_rank = 0;  // interactive 0, standard 1, batch 2
  uint8_t level = 0;       // 0: fresh
  friend auto operator<=>(const Tier&, const Tier&) = default;
};

// Tokens of service (prompt tokens computed, tokens generated) at which an unclassed sequence falls
// to the next level. Factors of four: what a level-0 sequence is delayed by the ones of its own
// level stays small, and a long one changes level a handful of times only. 512 tokens is a short
// chat turn with its answer.
inline constexpr std::array<int, 3> kLevelTokens{512, 2048, 8192};
inline constexpr int kLevelCount = static_cast<int>(kLevelTokens.size()) + 1;

// The level of `served_tokens` of service: 0 below kLevelTokens[0].
int feedback_level(int served_tokens);

// The tier of a sequence with the service it has had so far. Under fcfs all are equal; under
// priority only the priority counts.
Tier tier_of(const Sequence& sequence, Policy policy);

// The tier a running sequence is treated by: its own, or that of the most urgent sequence that
// waits for what it computes, so that the urgent one does not wait behind the unimportant.
Tier running_tier(const Sequence& sequence, Policy policy);

// When `sequence` has to start at the latest, in ticks of the clock, to keep its class's target for
// the first token and its deadline, when its prompt takes `prefill_s` seconds. Without a target:
// its arrival, so that first come is first. Under fcfs 0, under priority the arrival.
int64_t slack_key(const Sequence& sequence, const SchedulerConfig& config, double prefill_s);

}  // namespace inferno::schedule
