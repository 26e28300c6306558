#include "schedule/chunk_sizer.h"

#include <algorithm>
#include <climits>

namespace inferno::schedule {
namespace {

// The longest a step with these rows may take, in seconds, when it takes `decode_s` without
// prefill.
double longest_step_s(const StepPlan& plan, double decode_s, int waiting_count,
                      const SchedulerConfig& config) {
  double most_s = kNoTarget;
  bool has_unclassed = false;
  for (const ScheduledChunk& chunk : plan.chunks()) {
    const auto index = static_cast<size_t>(chunk.sequence->service_class());
    most_s = std::min(most_s, config.targets[index].tpot_s * ChunkSizer::kTargetShare);
    has_unclassed |= !chunk.sequence->traits.service_class;
  }
  const bool is_crowded = waiting_count > static_cast<int>(plan.chunks().size());
  if (has_unclassed && !is_crowded && config.max_itl_stretch > 0.0) {
    most_s = std::min(most_s, config.max_itl_stretch * decode_s);
  }
  return most_s;
}

}  // namespace

ChunkSizer::ChunkSizer(const StepPlan& plan, const StepTimeModel& model, int waiting_count,
                       const SchedulerConfig& config)
    : model_(model) {
  if (plan.chunks().empty()) return;
  const double decode_s = model.predict(plan.features());
  const double most_s = longest_step_s(plan, decode_s, waiting_count, config);
  if (most_s == kNoTarget) return;
  if (model.wants_decode_only_step()) {
    is_limited_ = true;
    least_tokens_ = 0;
    return;
  }
  is_limited_ = true;
  if (!model.is_trusted()) {
    least_tokens_ = kUnlearnedTokens;
    return;
  }
  left_s_ = std::max(kLeastShare * decode_s, most_s - decode_s);
}

int ChunkSizer::limit(int first) const {
  if (!is_limited_) return INT_MAX;
  return std::max(least_tokens_ - spent_tokens_, model_.prefill_tokens_within(left_s_, first));
}

void ChunkSizer::spend(int first, int count) {
  spent_tokens_ += count;
  if (is_limited_) left_s_ = std::max(0.0, left_s_ - model_.prefill_seconds(first, count));
}

}  // namespace inferno::schedule
