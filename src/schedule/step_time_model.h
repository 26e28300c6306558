// How long a step takes, learned from the steps that ran.
//
//   seconds = base + extra
//   base    = w0 + w1 * decode rows   + w2 * positions they read       from steps without prefill
//   extra   =      p1 * prompt tokens + p2 * positions they read       what the others took besides
//
// The two are learned apart, so that hundreds of steps without prefill, or of little else, do not
// wear away what is known of the other kind. The weights of the base minimise the sum of squared
// relative errors with exponential forgetting (recursive least squares; Haykin, "Adaptive Filter
// Theory"), kept as normal equations and solved every step: unlike the usual recursion on the
// inverse this cannot lose its definiteness. While one long prompt is computed all chunks are
// equally deep, and least squares would trade p1 for p2 as noise wills; so these two are moved by
// factors, each in proportion to its share of the step (normalised LMS, ibid., on their
// logarithms): what a step says nothing of stays.
//
// No weight is negative, so more work never predicts less time. A step that took far longer than
// its kind (page faults, a descheduled thread) counts for less the further it is off.
//
// Threads: belongs to the engine thread. Cost: a 3 x 3 system a step, no allocation.
#pragma once

#include <array>

#include "schedule/length_model.h"
#include "schedule/scheduler_stats.h"

namespace inferno::schedule {

class StepTimeModel {
 public:
  // Steps of a kind, without and with prefill, that have to be seen before predictions are used:
  // more than twice the number of weights.
  static constexpr int kTrustedSteps = 8;

  // Learns from a step. Steps of no duration (a clock that stands still) teach nothing.
  void learn(const StepFeatures& features, double seconds);

  // Whether enough steps of both kinds were seen.
  bool is_trusted() const {
    return decode_only_steps_ >= kTrustedSteps && prefill_steps_ >= kTrustedSteps;
  }

  // Whether a step without prefill should run now although there are prompts to compute: under
  // steady load there would never be one, and what prefill adds to a step could not be told from
  // what the step takes anyway. One step in kProbeSteps; more often until the model is trusted.
  bool wants_decode_only_step() const {
    return steps_since_decode_only_ >= (is_trusted() ? kProbeSteps : kFirstProbeSteps);
  }
  static constexpr int kProbeSteps = 32;
  static constexpr int kFirstProbeSteps = 8;

  // Seconds a step is expected to take; 0 before anything was learned.
  double predict(const StepFeatures& features) const;

  // The most tokens of a prompt that add no more than `seconds` to a step, when the first of them
  // has `first` positions before it. Unlimited (INT_MAX) when prefill was never seen to cost
  // anything.
  int prefill_tokens_within(double seconds, int first) const;

  // Seconds that `count` prompt tokens from position `first` on add to a step.
  double prefill_seconds(int first, int count) const;

  // Relative absolute error of predictions made once trusted, decayed mean.
  double error() const { return error_.value(); }

 private:
  static constexpr size_t kWeights = 3;
  using Vector = std::array<double, kWeights>;
  using Matrix = std::array<Vector, kWeights>;
  using Active = std::array<bool, kWeights>;

  static Vector vector_of(const StepFeatures& features);
  double base_seconds(const StepFeatures& features) const;
  double extra_seconds(const StepFeatures& features) const;
  double believed_miss(const StepFeatures& features, double seconds);
  void learn_base(const StepFeatures& features, double seconds, double belief);
  void learn_extra(const StepFeatures& features, double seconds);
  void fit();
  Vector solve(const Active& active, double firmness) const;

  Vector weights_{};
  Matrix moments_{};  // sums of row times row: what is known of each weight
  Vector targets_{};  // sums of row times 1

  double token_s_ = 0.0;  // p1; 0: no step with prefill was seen
  double read_s_ = 0.0;   // p2

  DecayedMean usual_miss_;  // relative
  DecayedMean error_;
  int decode_only_steps_ = 0;
  int steps_since_decode_only_ = 0;
  int prefill_steps_ = 0;
};

// Positions that attention reads for `count` tokens of which the first has `first` before it: each
// token reads those before it and itself.
constexpr int64_t positions_read(int first, int count) {
  return int64_t{count} * first + int64_t{count} * (count + 1) / 2;
}

}  // namespace inferno::schedule
