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
// Cost:    greedy reads the row once. So does top_k, but for the few blocks of the row that hold
//          the largest logits; logprobs, top_p and the whole distribution take one more pass for
//          the sum of the exponentials, which finds the row in L2. Only a top_p that more than 256
//          tokens share, and a top_k above 4096, sort more and write a row. Nothing is allocated
//          once buffers have grown, but for TokenOutput::top.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "kernel/kernels.h"
#include "request/request.h"
#include "sample/logit_row.h"
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
  // The row of `logits`, which must stay where they are; its maxima go to `maxima`.
  LogitRow survey(std::span<const float> logits, std::vector<float>& maxima);
  request::TokenOutput score_row(const LogitRow& row, TokenId given, int top_count);
  // Sum over the row of exp(value - maximum), left in block_mass_ by blocks. NaN counts as 0.
  double measure_mass(const LogitRow& row, float maximum);
  double mass_of_values(std::span<const float> values, float maximum) const;
  double mass_of(float value, float maximum) const;

  TokenId sample_by_chance(LogitRow row, const request::SamplingParams& params, double uniform);
  // The same for what is too wide for a list of candidates.
  TokenId sample_from_many(const LogitRow& row, const request::SamplingParams& params,
                           float maximum, double uniform);
  // The first candidates of the row that have `mass` together; none where too many would be needed.
  std::span<const Candidate> candidates_of_mass(const LogitRow& row, float maximum, double mass);
  // The token at which the mass, summed by id, passes `uniform` times all of it.
  TokenId draw_from_row(const LogitRow& row, float maximum, double uniform);
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
  std::vector<float> maxima_;
  std::vector<double> block_mass_;
  std::vector<float> raw_;            // [V] logits before anything changed them
  std::vector<float> masked_;         // [V] values of which some are made impossible
  std::vector<float> masked_maxima_;  // of masked_
  std::vector<float> by_bucket_;      // [V], for keep_mass
  std::vector<Candidate> crossing_;   // for keep_mass
};

}  // namespace inferno::sample
