// How long a step takes, learned from the steps that ran.
//
//   seconds = w0 + w1 * decode rows + w2 * positions that their attention reads
//           + share * (w3 + w4 * prefill tokens + w5 * positions that their attention reads)
//
// with the share of the layers that prefill goes through in the step. w3 is what the first token
// costs more than others: kernels take rows in blocks, and another block costs what its rows do
// not. A position costs a decode row more than a prompt token, as the tokens of a chunk share the
// reading.
//
// The weights minimise the sum of squared relative errors with exponential forgetting (recursive
// least squares; Haykin, "Adaptive Filter Theory"), kept as the normal equations and solved every
// step: unlike the usual recursion on the inverse this cannot lose its definiteness, however long
// it runs and however little its steps differ. Three rules keep the weights usable: none is
// negative, so more work never predicts less time; one of which nothing is seen stays as it was; a
// step that took far longer than its kind (page faults, a descheduled thread) counts for less the
// further it is off.
//
// Threads: belongs to the engine thread. Cost: a 6 x 6 system a step, no allocation.
#pragma once

#include <array>

#include "schedule/length_model.h"
#include "schedule/scheduler_stats.h"

namespace inferno::schedule {

class StepTimeModel {
 public:
  // Steps of a kind, without and with prefill, that have to be seen before predictions are used:
  // more than there are weights.
  static constexpr int kTrustedSteps = 8;

  // Learns from a step. Steps of no duration (a clock that stands still) teach nothing.
  void learn(const StepFeatures& features, double seconds);

  // Whether enough steps of both kinds were seen.
  bool is_trusted() const { return knows_decoding() && prefill_steps_ >= kTrustedSteps; }

  // Whether enough steps without prefill were seen to predict such a step.
  bool knows_decoding() const { return decode_only_steps_ >= kTrustedSteps; }

  // Whether a step without prefill should run now although there are prompts to compute: under
  // steady load there would never be one, and what prefill adds to a step could not be told from
  // what the step takes anyway. One step in kProbeSteps; more often until the model is trusted.
  bool wants_decode_only_step() const {
    return steps_since_decode_only_ >= (is_trusted() ? kProbeSteps : kFirstProbeSteps);
  }
  static constexpr int kProbeSteps = 64;
  static constexpr int kFirstProbeSteps = 16;

  // Seconds a step is expected to take; 0 before anything was learned.
  double predict(const StepFeatures& features) const;

  // The most tokens of a prompt that add no more than `seconds` to a step that has others, through
  // all layers, when the first of them has `first` positions before it. Unlimited (INT_MAX) when
  // prefill was never seen to cost anything.
  int prefill_tokens_within(double seconds, int first) const;

  // Seconds that `count` prompt tokens from position `first` on add to a step that has others.
  double prefill_seconds(int first, int count) const;

  // Seconds that a step's first prompt token adds to it beyond what it would add to others.
  double first_prefill_seconds() const { return weights_[kPrefillStart]; }

  // Relative absolute error of predictions made once trusted, decayed mean.
  double error() const { return error_.value(); }

 private:
  enum Weight : size_t { kStep, kRow, kDecodeRead, kPrefillStart, kPrefill, kPrefillRead };
  static constexpr size_t kWeights = kPrefillRead + 1;
  using Vector = std::array<double, kWeights>;
  using Matrix = std::array<Vector, kWeights>;
  using Active = std::array<bool, kWeights>;

  static Vector vector_of(const StepFeatures& features);
  static double product(const Vector& a, const Vector& b);
  double belief(double miss);
  void fit();
  Vector solve(const Active& active, double firmness) const;

  Vector weights_{};
  Matrix moments_{};        // sums of row times row: what is known of each weight
  Vector targets_{};        // sums of row times 1
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
