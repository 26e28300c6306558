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
    : model_(model), layer_count_(config.layer_count) {
  if (plan.chunks().empty()) return;
  const double decode_s = model.predict(plan.features());
  const double most_s = longest_step_s(plan, decode_s, waiting_count, config);
  if (most_s == kNoTarget) return;
  is_limited_ = true;
  is_measuring_ = model.wants_decode_only_step();
  if (is_measuring_ || !model.is_trusted()) {
    least_tokens_ = is_measuring_ ? 0 : kUnlearnedTokens;
    return;
  }
  most_s_ = std::max(kLeastShare * decode_s, most_s - decode_s);
}

int ChunkSizer::limit(int first) const {
  if (!is_limited_) return INT_MAX;
  const double spent_s = spent_tokens_ > 0 ? spent_s_ : model_.first_prefill_seconds();
  const int in_step = model_.prefill_tokens_within(most_s_ - spent_s, first);
  const int carried =
      std::min(kCarriedTokens - spent_tokens_,
               model_.prefill_tokens_within(most_s_ * layer_count_ - spent_s, first));
  return std::max({least_tokens_ - spent_tokens_, in_step, layer_count_ > 1 ? carried : 0});
}

void ChunkSizer::spend(int first, int count) {
  if (spent_tokens_ == 0) spent_s_ += model_.first_prefill_seconds();
  spent_tokens_ += count;
  spent_s_ += model_.prefill_seconds(first, count);
}

int ChunkSizer::layers_of(int left) const {
  if (is_measuring_) return 0;
  if (!is_limited_) return left;
  if (!model_.is_trusted()) {
    return std::min(left, (layer_count_ + kUnlearnedParts - 1) / kUnlearnedParts);
  }
  const double layers = spent_s_ > 0.0 ? layer_count_ * most_s_ / spent_s_ : left;
  return layers >= left ? left : std::max(1, static_cast<int>(layers));
}

}  // namespace inferno::schedule
