// What the operator decides about speculative decoding: where guesses of the next tokens come from,
// and how many at most. How many a step computes is measured (schedule/draft_lengths.h).
//
// Threads: a value.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/draft_proposer.h"
#include "schedule/draft_lengths.h"

namespace inferno::engine {

enum class SpeculationMethod : uint8_t { kOff, kPromptLookup, kDraftModel };

struct SpeculationConfig {
  SpeculationMethod method = SpeculationMethod::kOff;
  // Guesses a step at most, 1 to kMostSpeculativeTokens: with the token itself 16 rows, as many as
  // a tile of AMX has. Where so many rows, or passes of a draft model, do not pay, it is fewer.
  int num_speculative_tokens = 15;
  int prompt_lookup_max = 4;  // longest sequence of last tokens that is looked up, and
  int prompt_lookup_min = 2;  // shortest: 1 <= min <= max <= kMostLookupTokens
  std::string draft_model{};  // as commands take models; only with kDraftModel
  schedule::DraftLengthRule lengths = schedule::DraftLengthRule::kByMeasurement;
};

inline constexpr int kMostSpeculativeTokens = schedule::kMostPasses;
// Each length looked up has a table of its own.
inline constexpr int kMostLookupTokens = 16;

// What the scheduler has to know of it.
schedule::DraftLimits draft_limits(const SpeculationConfig& config);

// The proposer that needs nothing but its configuration: prompt lookup. Null for the other methods.
std::unique_ptr<DraftProposer> proposer_of(const SpeculationConfig& config);

}  // namespace inferno::engine
