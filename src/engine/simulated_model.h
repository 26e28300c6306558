// A model that takes time on a clock and computes nothing, for simulations of a whole engine.
//
// A step of `decode_rows` single tokens and `prefill_tokens` others over `kv_positions` cached
// positions advances the clock by the linear cost of StepCost, times a random factor near 1: the
// shape that measured step times of the real decoder have. Tokens that go through some of its
// layers only cost their share. Every token it chooses is token 0.
//
// Threads: belongs to one thread, like the clock it advances.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <span>

#include "base/clock.h"
#include "model/forward_pass.h"
#include "token/tokenizer.h"

namespace inferno::engine {

// Seconds a step takes: fixed + decode rows + prompt tokens + positions of KV read, each with its
// price. `noise` is the standard deviation of the logarithm of the random factor.
struct StepCost {
  double fixed_s = 0.04;
  double decode_row_s = 0.003;
  double prefill_token_s = 0.004;
  double kv_position_s = 1e-6;
  double noise = 0.05;
};

class SimulatedModel final : public model::ForwardPass {
 public:
  // The clock outlives the model.
  SimulatedModel(const StepCost& cost, ManualClock& clock, uint64_t seed)
      : cost_(cost), clock_(clock), random_(seed) {}

  void forward(std::span<const model::ForwardPiece> pieces) override;
  void logits(std::span<const int> rows, float* out) override;
  void copy_page(PageId, PageId) override {}
  int layer_count() const override { return kLayerCount; }
  int vocab_size() const override { return kVocabSize; }
  int max_logit_rows() const override { return kLogitRows; }

  int64_t step_count() const { return step_count_; }
  int64_t computed_tokens() const { return computed_tokens_; }

 private:
  static constexpr int kLayerCount = 24;
  static constexpr int kVocabSize = 2;
  static constexpr int kLogitRows = 256;

  StepCost cost_;
  ManualClock& clock_;
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
  int64_t step_count_ = 0;
  int64_t computed_tokens_ = 0;
};

// The vocabulary that goes with it: token 0 is "a", token 1 ends an answer.
std::unique_ptr<token::Tokenizer> simulated_tokenizer();

}  // namespace inferno::engine
