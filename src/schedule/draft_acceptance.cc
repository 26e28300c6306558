#include "schedule/draft_acceptance.h"

#include <algorithm>
#include <bit>
#include <cstddef>

namespace inferno::schedule {
namespace {

// Rates of code and of prose together, as a start: they are replaced within some dozen steps.
constexpr std::array<double, DraftAcceptance::kClasses> kPriorRates = {0.3, 0.5, 0.7, 0.85};

size_t index_of(int match_length) {
  return static_cast<size_t>(DraftAcceptance::class_of(match_length));
}

}  // namespace

int DraftAcceptance::class_of(int match_length) {
  const auto length = static_cast<unsigned>(std::max(match_length, 1));
  return std::clamp(static_cast<int>(std::bit_width(length)) - 2, 0, kClasses - 1);
}

DraftAcceptance DraftAcceptance::prior() {
  DraftAcceptance acceptance;
  for (size_t i = 0; i < kPriorRates.size(); ++i)
    acceptance.counts_[i] = {.hits = kLeaning * kPriorRates[i], .trials = kLeaning};
  return acceptance;
}

void DraftAcceptance::learn(int match_length, const DraftOutcome& outcome, double memory) {
  Count& count = counts_[index_of(match_length)];
  const double keep = 1.0 - 1.0 / memory;
  count.hits = keep * count.hits + outcome.hits;
  count.trials = keep * count.trials + outcome.hits + (outcome.has_missed ? 1.0 : 0.0);
}

double DraftAcceptance::rate(int match_length) const {
  const Count& count = counts_[index_of(match_length)];
  return count.trials > 0.0 ? count.hits / count.trials : 0.0;
}

double DraftAcceptance::rate(int match_length, const DraftAcceptance& others) const {
  const Count& own = counts_[index_of(match_length)];
  return (own.hits + kLeaning * others.rate(match_length)) / (own.trials + kLeaning);
}

}  // namespace inferno::schedule
