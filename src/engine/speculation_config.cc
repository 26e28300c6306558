#include "engine/speculation_config.h"

#include "engine/prompt_lookup.h"

namespace inferno::engine {

schedule::DraftLimits draft_limits(const SpeculationConfig& config) {
  if (config.method == SpeculationMethod::kOff) return {};
  return {.most_tokens = config.num_speculative_tokens, .rule = config.lengths};
}

DraftProposerFactory proposer_factory(const SpeculationConfig& config) {
  if (config.method == SpeculationMethod::kOff) return {};
  return [config](int max_tokens) -> std::unique_ptr<DraftProposer> {
    return std::make_unique<PromptLookup>(
        LookupLengths{.least = config.prompt_lookup_min, .most = config.prompt_lookup_max},
        max_tokens);
  };
}

}  // namespace inferno::engine
