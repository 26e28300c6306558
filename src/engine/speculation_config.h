// What the operator decides about speculative decoding: where guesses of the next tokens come from,
// and how many at most. How many a step computes is measured (schedule/draft_lengths.h).
//
// Threads: a value.
#pragma once

#include <cstdint>

#include "engine/draft_proposer.h"
#include "schedule/draft_lengths.h"

namespace inferno::engine {

enum class SpeculationMethod : uint8_t { kOff, kPromptLookup };

struct SpeculationConfig {
  SpeculationMethod method = SpeculationMethod::kOff;
  int num_speculative_tokens = 8;  // guesses a step at most, 1 to kMostSpeculativeTokens
  int prompt_lookup_max = 4;       // longest sequence of last tokens that is looked up, and
  int prompt_lookup_min = 2;       // shortest: 1 <= min <= max <= kMostLookupTokens
  schedule::DraftLengthRule lengths = schedule::DraftLengthRule::kByMeasurement;
};

// A verified row costs arithmetic even where it costs no memory traffic; beyond this no acceptance
// rate pays on any machine measured.
inline constexpr int kMostSpeculativeTokens = 64;
// Each length looked up has a table of its own.
inline constexpr int kMostLookupTokens = 16;

// What the scheduler has to know of it.
schedule::DraftLimits draft_limits(const SpeculationConfig& config);

// Makes proposers as configured; none when it is off.
DraftProposerFactory proposer_factory(const SpeculationConfig& config);

}  // namespace inferno::engine
