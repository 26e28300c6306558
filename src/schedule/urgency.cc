#include "schedule/urgency.h"

#include <algorithm>

#include "schedule/sequence.h"

namespace inferno::schedule {
namespace {

// Longer than any request lives, short enough to be counted in ticks: a target or a prediction
// beyond it changes no order.
constexpr double kLongestS = 1e6;

int64_t ticks_of(TimePoint time) {
  return time.time_since_epoch().count();
}

}  // namespace

int feedback_level(int served_tokens) {
  const auto* const boundary = std::ranges::upper_bound(kLevelTokens, served_tokens);
  return static_cast<int>(boundary - kLevelTokens.begin());
}

Tier tier_of(const Sequence& sequence, Policy policy) {
  if (policy == Policy::kFcfs) return {};
  Tier tier{.priority = sequence.traits.priority};
  if (policy == Policy::kPriority) return tier;
  tier.class_rank = static_cast<uint8_t>(sequence.service_class());
  if (!sequence.traits.service_class) {
    const int served = std::max(0, sequence.served_tokens - sequence.cached_count);
    tier.level = static_cast<uint8_t>(feedback_level(served));
  }
  return tier;
}

Tier running_tier(const Sequence& sequence, Policy policy) {
  const Tier own = tier_of(sequence, policy);
  return sequence.inherited_tier ? std::min(own, *sequence.inherited_tier) : own;
}

int64_t slack_key(const Sequence& sequence, const SchedulerConfig& config, double prefill_s) {
  if (config.policy == Policy::kFcfs) return 0;
  const TimePoint arrival = sequence.traits.arrival;
  if (config.policy == Policy::kPriority) return ticks_of(arrival);
  const double target = config.targets[static_cast<size_t>(sequence.service_class())].ttft_s;
  const double prefill =
      sequence.traits.service_class ? std::clamp(prefill_s, 0.0, kLongestS) : 0.0;
  int64_t key = ticks_of(arrival);
  if (target < kLongestS) key = ticks_of(after_seconds(arrival, target - prefill));
  if (sequence.traits.deadline) {
    key = std::min(key, ticks_of(after_seconds(*sequence.traits.deadline, -prefill)));
  }
  return key;
}

}  // namespace inferno::schedule
