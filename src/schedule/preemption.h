// Who gives way: the choice of a running sequence to be preempted, its pages given back and its
// tokens computed again later.
//
// | cause    | when                                         | who                                 |
// | -------- | -------------------------------------------- | ----------------------------------- |
// | memory   | a running sequence needs a page, none left   | least important, then last admitted |
// | slack    | a sequence of a better class or priority has | least important of those of a worse |
// |          | used half of the time its target allows      | class or priority                   |
// | feedback | a fresh unclassed sequence can have no place | unclassed, two levels or more down, |
// |          |                                              | and long enough in its place        |
// | lane     | an aged sequence can have no place           | came later and is no more urgent    |
//
// The last three are for policy slo and at most one a step. Promoted sequences (admitted through
// the aged lane) give way to memory only, and the oldest of them never: of what runs, the most
// important is never chosen while another is there, and alone it always fits.
//
// Hysteresis of feedback: a victim has had, since its admission, at least the first level's tokens
// and half of what it had had before. So what is computed again stays within a constant factor of
// what was useful, and two sequences cannot push each other out in turn.
//
// Threads: pure functions. Cost: O(running).
#pragma once

#include <span>

#include "schedule/scheduler_config.h"
#include "schedule/sequence.h"

namespace inferno::schedule {

enum class PreemptionCause : uint8_t { kMemory, kSlack, kFeedback, kLane };

// Half of the time to its target is used up: a sequence that still waits is in danger. Waiting
// longer would leave no time for the victim's place to be of use; less would preempt for nothing,
// as places come free by themselves.
inline constexpr double kDangerShare = 0.5;

// Whether a waiting sequence is in danger of missing its class's target for the first token.
bool is_in_danger(const Sequence& waiting, const SchedulerConfig& config, TimePoint now);

// The running sequence that gives way when pages run out. Requires: there is one.
Sequence* memory_victim(std::span<Sequence* const> running, Policy policy);

// Whether `running` may give way to `waiting` for a reason other than memory.
bool may_give_way(const Sequence& running, const Sequence& waiting, PreemptionCause cause);

// Who gives way to `waiting` for a reason: the least important of those who may; null when nobody
// may.
Sequence* who_gives_way(std::span<Sequence* const> running, const Sequence& waiting,
                        PreemptionCause cause);

}  // namespace inferno::schedule
