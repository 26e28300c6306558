#include "schedule/preemption.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"

namespace inferno::schedule {
namespace {

// True when `a` gives way before `b`.
bool gives_way_before(const Sequence& a, const Sequence& b, Policy policy) {
  if (policy == Policy::kFcfs) return a.admission_order > b.admission_order;
  if (policy == Policy::kPriority) {
    return std::tuple(a.traits.priority, a.traits.arrival, a.order) >
           std::tuple(b.traits.priority, b.traits.arrival, b.order);
  }
  if (a.promoted != b.promoted) return b.promoted;
  if (a.promoted) return std::tuple(a.aged_at, a.order) > std::tuple(b.aged_at, b.order);
  const Tier tier_a = running_tier(a, policy);
  const Tier tier_b = running_tier(b, policy);
  if (tier_a != tier_b) return tier_a > tier_b;
  return a.admission_order > b.admission_order;
}

}  // namespace

bool may_give_way(const Sequence& running, const Sequence& waiting, PreemptionCause cause) {
  if (running.promoted || running.state != SequenceState::kRunning) return false;
  const Tier mine = tier_of(waiting, Policy::kSlo);
  const Tier theirs = running_tier(running, Policy::kSlo);
  const auto rank = [](const Tier& tier) { return std::tuple(tier.priority, tier.class_rank); };
  switch (cause) {
    case PreemptionCause::kSlack:
      return rank(mine) < rank(theirs);
    case PreemptionCause::kLane:
      return rank(mine) <= rank(theirs) && waiting.order < running.order;
    case PreemptionCause::kFeedback: {
      const int stay = running.served_tokens - running.served_at_admission;
      return !waiting.traits.service_class && !running.traits.service_class &&
             rank(mine) == rank(theirs) && mine.level + 2 <= theirs.level &&
             stay >= std::max(kLevelTokens[0], running.served_at_admission / 2);
    }
    case PreemptionCause::kMemory:
      break;
  }
  return false;
}

bool is_in_danger(const Sequence& waiting, const SchedulerConfig& config, TimePoint now) {
  const double target = config.targets[static_cast<size_t>(waiting.service_class())].ttft_s;
  if (target == kNoTarget) return false;
  const TimePoint latest_start{TimePoint::duration(waiting.slack_key)};
  return seconds_between(now, latest_start) < kDangerShare * target;
}

Sequence* memory_victim(std::span<Sequence* const> running, Policy policy) {
  Sequence* victim = nullptr;
  for (Sequence* const sequence : running) {
    if (sequence->state != SequenceState::kRunning) continue;
    if (!victim || gives_way_before(*sequence, *victim, policy)) victim = sequence;
  }
  CHECK(victim != nullptr, "none of {} sequences runs", running.size());
  return victim;
}

Sequence* who_gives_way(std::span<Sequence* const> running, const Sequence& waiting,
                        PreemptionCause cause) {
  Sequence* victim = nullptr;
  for (Sequence* const sequence : running) {
    if (!may_give_way(*sequence, waiting, cause)) continue;
    if (!victim || gives_way_before(*sequence, *victim, Policy::kSlo)) victim = sequence;
  }
  return victim;
}

}  // namespace inferno::schedule
