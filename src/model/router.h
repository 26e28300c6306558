// Which experts a row goes to, and with what weights: the router's logits to a choice.
//
// A pure function of one row's logits: the same bits whatever else is in the batch, and on every
// machine (the exponential is computed here, from operations that are rounded alike everywhere).
//
// Sources: "Mixtral of Experts", https://arxiv.org/abs/2401.04088, section 2.1;
// Qwen3MoeSparseMoeBlock and GptOssTopKRouter of transformers.
#pragma once

#include <cstdint>

namespace inferno::model {

// What the weights of the chosen experts are parts of.
enum class ExpertWeighting : uint8_t {
  // Softmax over the chosen ones: they add up to 1. So does softmax over all, divided by the sum of
  // the chosen ones, which is the same number.
  kOfChosen,
  kOfAll,  // softmax over all experts, left as it is
};

struct RoutingRule {
  int expert_count = 0;  // X
  int used_count = 0;    // experts for each row, at most expert_count
  ExpertWeighting weighting = ExpertWeighting::kOfChosen;
};

struct ExpertChoice {
  int expert;
  float weight;
};

// Writes rule.used_count choices, largest logit first and, of equal ones, lower index first. Logits
// that are no numbers come last. logits [X]. Cost: O(X) and, for kOfAll, X exponentials.
void route(const RoutingRule& rule, const float* logits, ExpertChoice* choices);

}  // namespace inferno::model
