// From a row of logits to the next token, and to the log probabilities that were asked for.
//
//   raw logits --> log probabilities of what will be chosen (vLLM's raw_logprobs)
//       | logit_bias, min_tokens, repetition, frequency and presence penalties
//       | greedy: the largest
//       | temperature, min_p, top_k, top_p
//       v one uniform number, inverse of the cumulative distribution
//     token
//
// The answer depends on the logits, the parameters, the seed and the position: not on the thread,
// the table of kernels or any earlier call. Ties go to the smaller token id. A NaN counts as
// impossible; where nothing is possible the token is 0; where a logit is +infinity it is the first
// of those.
//
// Threads: one at a time; each worker has its own, since it holds scratch of the vocabulary's size.
// Cost:    greedy reads the row once; sampling passes over it three to six times. Nothing is
//          allocated once buffers have grown, but for TokenOutput::top.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "kernel/kernels.h"
#include "request/request.h"
#include "sample/sampling_state.h"
#include "sample/selection.h"

namespace inferno::sample {

class Sampler {
 public:
  // Requires: `table` outlives the sampler; vocab_size >= 1.
  Sampler(const kernel::KernelTable& table, int vocab_size);

  // Chooses the token at `position` of the sequence (counted from its first prompt token). `logits`
  // [V] float is scratch afterwards. logprob, rank and top are filled in when
  // state.params().logprobs is set.
  request::TokenOutput sample(std::span<float> logits, const SamplingState& state, int position);

  // What the raw logits [V] say about `given`: its log probability, rank and the best `top_count`
  // tokens. For prompt_logprobs. Requires: 0 <= given < V.
  request::TokenOutput score(std::span<const float> logits, TokenId given, int top_count);

 private:
  // The largest logit and its token.
  Candidate find_best(std::span<const float> logits) const;
  // Sum over the row of exp(logit - maximum), left in block_mass_ by blocks of kMassBlock. NaN
  // counts as 0.
  double measure_mass(std::span<const float> logits, float maximum);
  double mass_of_block(std::span<const float> logits, float maximum) const;
  double mass_of(float logit, float maximum) const;

  TokenId sample_by_chance(std::span<float> logits, const request::SamplingParams& params,
                           double uniform);
  // The token at which the mass, summed by id, passes `uniform` times all of it.
  TokenId draw_from_row(std::span<const float> logits, float maximum, double uniform);
  // The shortest prefix of `candidates` whose mass reaches `mass`, or nullopt when all of it does
  // not.
  std::optional<size_t> prefix_of_mass(std::span<const Candidate> candidates, float maximum,
                                       double mass) const;
  TokenId draw_from_candidates(std::span<const Candidate> candidates, float maximum,
                               double uniform) const;
  // Makes impossible what top_p leaves out: all that comes after `mass` is reached.
  void keep_mass(std::span<float> logits, float maximum, double mass);

  const kernel::KernelTable& table_;
  Selection selection_;
  std::vector<double> block_mass_;
  std::vector<float> raw_;           // [V] logits before anything changed them
  std::vector<float> by_bucket_;     // [V], for keep_mass
  std::vector<Candidate> crossing_;  // for keep_mass
};

}  // namespace inferno::sample
