// For tests: SamplingParams of which only the interesting fields are named, and the float that is
// not a number.
#pragma once

#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "request/request.h"

namespace inferno::sample {

inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Same names and defaults as in SamplingParams; every field has an initializer, as g++ wants it of
// designated initializers that leave some out.
struct TestParams {
  float temperature = 1.0f;
  float top_p = 1.0f;
  int top_k = 0;
  float min_p = 0.0f;
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  float repetition_penalty = 1.0f;
  std::vector<std::pair<TokenId, float>> logit_bias = {};
  std::optional<uint64_t> seed = {};
  int min_tokens = 0;
  std::vector<TokenId> stop_token_ids = {};
  std::optional<int> logprobs = {};

  operator request::SamplingParams() const {
    request::SamplingParams params;
    params.temperature = temperature;
    params.top_p = top_p;
    params.top_k = top_k;
    params.min_p = min_p;
    params.presence_penalty = presence_penalty;
    params.frequency_penalty = frequency_penalty;
    params.repetition_penalty = repetition_penalty;
    params.logit_bias = logit_bias;
    params.seed = seed;
    params.min_tokens = min_tokens;
    params.stop_token_ids = stop_token_ids;
    params.logprobs = logprobs;
    return params;
  }
};

}  // namespace inferno::sample
