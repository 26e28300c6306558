#include "sample/sampling_state.h"

namespace inferno::sample {

SamplingState::SamplingState(const request::SamplingParams& params, std::span<const TokenId> prompt,
                             std::span<const TokenId> end_of_generation)
    : params_(params) {
  if (params_.min_tokens > 0) {
    ends_.assign(end_of_generation.begin(), end_of_generation.end());
    ends_.insert(ends_.end(), params_.stop_token_ids.begin(), params_.stop_token_ids.end());
  }
  if (has_penalties()) {
    for (TokenId token : prompt)
      seen_[token].in_prompt = true;
  }
}

void SamplingState::accept(TokenId token) {
  output_count_++;
  if (has_penalties()) seen_[token].output_count++;
}

bool SamplingState::has_penalties() const {
  return params_.presence_penalty != 0.0f || params_.frequency_penalty != 0.0f ||
         params_.repetition_penalty != 1.0f;
}

std::span<const TokenId> SamplingState::forbidden() const {
  if (output_count_ >= params_.min_tokens) return {};
  return ends_;
}

bool SamplingState::leaves_logits_alone() const {
  return params_.logit_bias.empty() && forbidden().empty() && !has_penalties();
}

}  // namespace inferno::sample
