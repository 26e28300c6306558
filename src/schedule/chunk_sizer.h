// How many prompt tokens a step may take on top of its decode rows, and through how many layers.
//
// A prompt in one piece would stop every stream for as long as it takes. The limit is the time a
// step may last:
//
//   no row decodes        as long as it likes: the token budget is the only limit
//   rows with a class     the strictest time per token of their classes, with a margin
//   rows without one      the same with the standard class's, and max_itl_stretch times what the
//                         step takes without prefill, unless more requests wait than rows decode,
//                         whom smooth streams would cost too much
//
// The strictest of these holds. Whatever it is, prefill has a share of the time: a step may always
// be longer by kLeastShare, and takes a token at least. So prompts advance at about a fifth of the
// speed they have without streams (a tenth where a token costs half of the share or more), however
// deep they are and slow the model. A least number of tokens could not promise that: what one costs
// grows with its position. Only one step in StepTimeModel::kProbeSteps takes none, to measure what
// a step takes without. While the model has not learned enough, kUnlearnedTokens go through in
// kUnlearnedParts, or at once where more requests wait than rows decode.
//
// Few tokens cost more each than many: another block of a kernel's rows, the reading of all that
// lies before them. So where the time is not enough for kCarriedTokens at once, up to so many are
// taken a few layers at a time, in steps one after the other. Time that is not enough for another
// layer is lost: of steps, and tokens to fill them, there are as many as get most through a step.
//
// Threads: belongs to the engine thread; one for every step. Cost: O(rows) to construct.
#pragma once

#include <span>

#include "schedule/scheduler_config.h"
#include "schedule/step_plan.h"
#include "schedule/step_time_model.h"

namespace inferno::schedule {

class ChunkSizer {
 public:
  // The time that prefill has in any step, as a part of what the step takes without: a fifth of the
  // engine's time is prefill's then. Streams that miss their targets, or keep them with less than
  // this to spare, are slowed by no more for the sake of those who wait.
  static constexpr double kLeastShare = 0.25;
  // Prompt tokens that a step may take at least: what a token costs may be more than the share.
  static constexpr int kLeastTokens = 1;
  // The most prompt tokens that are carried through the layers together: enough that one costs
  // little more than among 512, few enough that a request that comes meanwhile, and is not so
  // urgent that they begin anew after it, waits for at most as many steps as there are layers.
  static constexpr int kCarriedTokens = 64;
  // What a step may take before the model knows what it costs: few enough that streams go on while
  // it learns, which takes some such steps. Where they can be carried, they are in so many parts.
  static constexpr int kUnlearnedTokens = 2 * kv::kPageTokens;
  static constexpr int kUnlearnedParts = 4;
  // The part of a class's time per token that steps are planned to take: predictions are off by a
  // few per cent, and the mean of all steps has to stay below the target.
  static constexpr double kTargetShare = 0.9;

  // `plan` holds the decode rows and nothing else; `waiting_count` requests wait to be admitted.
  ChunkSizer(const StepPlan& plan, const StepTimeModel& model, int waiting_count,
             const SchedulerConfig& config);

  // The most tokens of a prompt, from position `first` on, that may still be added, to be computed
  // in this step or, as far as layers_of() says, in the next ones. Unlimited: INT_MAX.
  // Cost: O(square root of the layers).
  int limit(int first) const;

  // Records that `count` tokens from `first` on were added.
  void spend(int first, int count);

  // Of `left` layers that the tokens added have still to go through, how many they are to in this
  // step, so that it takes few steps and those are alike: one at least; none in a measuring step.
  int layers_of(int left) const;

  // Whether the tokens added do not come through all layers in this step.
  bool needs_more_steps() const { return layers_of(layer_count_) < layer_count_; }

  // Whether anything but the budget limits prefill.
  bool is_limited() const { return is_limited_; }

 private:
  int fastest_count(int first) const;

  const StepTimeModel& model_;
  bool is_limited_ = false;
  bool is_measuring_ = false;
  int layer_count_ = 1;
  double most_s_ = 0.0;   // what prefill may add to the step
  double spent_s_ = 0.0;  // by the tokens added, through all layers
  int least_tokens_ = kLeastTokens;
  int unlearned_parts_ = kUnlearnedParts;
  int spent_tokens_ = 0;
};

}  // namespace inferno::schedule
