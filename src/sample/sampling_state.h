// What choosing the next token of one request depends on besides its logits: the parameters, and
// which tokens there have been. Tokens are counted only when a penalty asks for it.
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "request/request.h"

namespace inferno::sample {

class SamplingState {
 public:
  // How often a token has been seen.
  struct Seen {
    bool in_prompt = false;
    int output_count = 0;
  };

  // `end_of_generation`: the tokens that end an answer by themselves; forbidden, as stop_token_ids
  // are, until params.min_tokens are out. A missing seed counts as 0: who takes the request draws
  // one.
  SamplingState(const request::SamplingParams& params, std::span<const TokenId> prompt,
                std::span<const TokenId> end_of_generation);

  // Tells that `token` has become part of the answer.
  void accept(TokenId token);

  const request::SamplingParams& params() const { return params_; }
  uint64_t seed() const { return params_.seed.value_or(0); }
  int output_count() const { return output_count_; }

  // True: the next token is the most probable one, no chance involved. As in vLLM, a temperature
  // below 1e-5.
  bool is_greedy() const { return params_.temperature < 1e-5f; }

  // True: neither bias, min_tokens nor a penalty changes the logits of the next token.
  bool leaves_logits_alone() const;

  // The tokens that may not come next because fewer than min_tokens are out; may hold ids outside
  // the vocabulary.
  std::span<const TokenId> forbidden() const;

  // Empty unless has_penalties().
  const std::unordered_map<TokenId, Seen>& seen() const { return seen_; }
  bool has_penalties() const;

 private:
  request::SamplingParams params_;
  std::vector<TokenId> ends_;
  std::unordered_map<TokenId, Seen> seen_;
  int output_count_ = 0;
};

}  // namespace inferno::sample
