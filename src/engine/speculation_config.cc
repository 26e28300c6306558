#include "engine/speculation_config.h"

#include "engine/prompt_lookup.h"

namespace inferno::engine {

schedule::DraftLimits draft_limits(const SpeculationConfig& config) {
  if (config.method == SpeculationMethod::kOff) return {};
  return {.most_tokens = config.num_speculative_tokens, .rule = config.lengths};
}

std::unique_ptr<DraftProposer> proposer_of(const SpeculationConfig& config) {
  if (config.method != SpeculationMethod::kPromptLookup) return nullptr;
  return std::make_unique<PromptLookupProposer>(
      LookupLengths{.least = config.prompt_lookup_min, .most = config.prompt_lookup_max});
}

}  // namespace inferno::engine
