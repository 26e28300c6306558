#include "schedule/chunk_sizer.h"

#include <algorithm>
#include <climits>

namespace inferno::schedule {
namespace {

// Predictions of one chunk move a little from step to step; by so much a step may take more than
// its time, rather than a layer less than the chunk was cut for.
constexpr double kLayerSlack = 1.05;

bool is_crowded(const StepPlan& plan, int waiting_count) {
  return waiting_count > static_cast<int>(plan.chunks().size());
}

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
  if (has_unclassed && !is_crowded(plan, waiting_count) && config.max_itl_stretch > 0.0) {
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
    unlearned_parts_ = is_crowded(plan, waiting_count) ? 1 : kUnlearnedParts;
    return;
  }
  most_s_ = std::max(kLeastShare * decode_s, most_s - decode_s);
}

int ChunkSizer::limit(int first) const {
  if (!is_limited_) return INT_MAX;
  return std::max(least_tokens_ - spent_tokens_, fastest_count(first));
}

// Of the numbers of steps in which a chunk may go through the layers, the one in which each step
// has most of the chunk's tokens: layers are whole, and a chunk that takes a little more than n
// steps has n + 1 which are not full. As many tokens as fill those steps; of as fast ones the most.
int ChunkSizer::fastest_count(int first) const {
  const double spent_s = spent_tokens_ > 0 ? spent_s_ : model_.first_prefill_seconds();
  int fastest = 0;
  double most_per_step = 0.0;
  for (int layers = layer_count_; layers > 0;) {
    const int steps = (layer_count_ + layers - 1) / layers;
    const int room = steps > 1 ? kCarriedTokens - spent_tokens_ : INT_MAX;
    const double seconds = most_s_ * layer_count_ / layers - spent_s;
    const int count = std::min(room, model_.prefill_tokens_within(seconds, first));
    const double per_step = (1.0 * spent_tokens_ + count) / steps;
    if (seconds >= 0.0 && count >= 0 && per_step >= most_per_step) {
      fastest = count;
      most_per_step = per_step;
    }
    if (count == room) break;
    layers = std::min(layers - 1, (layer_count_ + steps) / (steps + 1));  // one step more at least
  }
  return fastest;
}

void ChunkSizer::spend(int first, int count) {
  if (spent_tokens_ == 0) spent_s_ += model_.first_prefill_seconds();
  spent_tokens_ += count;
  spent_s_ += model_.prefill_seconds(first, count);
}

int ChunkSizer::layers_of(int left) const {
  if (is_measuring_) return 0;
  if (!is_limited_ || left == 0) return left;
  int most = left;
  if (!model_.is_trusted()) {
    most = (layer_count_ + unlearned_parts_ - 1) / unlearned_parts_;
  } else if (spent_s_ > 0.0) {
    const double layers = kLayerSlack * layer_count_ * most_s_ / spent_s_;
    most = layers >= left ? left : std::max(1, static_cast<int>(layers));
  }
  // As many steps as that takes, all of them alike.
  const int steps = (left + most - 1) / most;
  return (left + steps - 1) / steps;
}

}  // namespace inferno::schedule
