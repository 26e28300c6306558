#include "schedule/draft_lengths.h"

#include <algorithm>

namespace inferno::schedule {
namespace {

// Less likely drafts are not looked at.
constexpr double kLeastProbability = 0.01;

bool is_less_likely(const DraftCandidate& a, const DraftCandidate& b) {
  return a.probability != b.probability ? a.probability < b.probability
                                        : a.sequence->order > b.sequence->order;
}

// The next draft in the order of probability, or 0 when none is left.
double take_most_likely(std::span<DraftCandidate> candidates) {
  std::ranges::pop_heap(candidates, is_less_likely);
  DraftCandidate& best = candidates.back();
  const double probability = best.probability;
  if (probability >= kLeastProbability) {
    ++best.chosen;
    best.probability = best.chosen < best.most ? probability * best.acceptance : 0.0;
  }
  std::ranges::push_heap(candidates, is_less_likely);
  return probability >= kLeastProbability ? probability : 0.0;
}

void begin(std::span<DraftCandidate> candidates) {
  for (DraftCandidate& candidate : candidates) {
    candidate.chosen = 0;
    candidate.probability = candidate.most > 0 ? candidate.acceptance : 0.0;
  }
  std::ranges::make_heap(candidates, is_less_likely);
}

// How many drafts give the most tokens a second.
int best_count(std::span<DraftCandidate> candidates, const DraftStep& step, const RowCost& cost) {
  const double plain_s = cost.seconds(step.decode_rows);
  if (plain_s <= 0.0) return 0;
  double tokens = step.decode_rows;
  double best_rate = kWorthwhile * tokens / plain_s;
  int best = 0;
  begin(candidates);
  const int most = std::min(step.most_drafts, cost.most_rows() - step.decode_rows);
  for (int count = 1; count <= most; ++count) {
    const double probability = take_most_likely(candidates);
    if (probability == 0.0) break;
    tokens += probability;
    const double seconds =
        std::max(cost.seconds(step.decode_rows + count), plain_s + step.least_row_s * count);
    if (seconds > std::max(step.longest_s, plain_s)) break;
    if (tokens / seconds <= best_rate) continue;
    best_rate = tokens / seconds;
    best = count;
  }
  return best;
}

}  // namespace

void choose_draft_lengths(std::span<DraftCandidate> candidates, const DraftStep& step,
                          const RowCost& cost, DraftLengthRule rule) {
  if (rule == DraftLengthRule::kLongest) {
    int left = step.most_drafts;
    for (DraftCandidate& candidate : candidates) {
      candidate.chosen = std::min(candidate.most, left);
      left -= candidate.chosen;
    }
    return;
  }
  const int count = best_count(candidates, step, cost);
  begin(candidates);
  for (int i = 0; i < count; ++i)
    take_most_likely(candidates);
}

}  // namespace inferno::schedule
