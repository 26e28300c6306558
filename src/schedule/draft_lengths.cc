#include "schedule/draft_lengths.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace inferno::schedule {
namespace {

// Less likely drafts are not looked at.
constexpr double kLeastProbability = 0.01;

bool is_less_likely(const DraftCandidate& a, const DraftCandidate& b) {
  return a.probability != b.probability ? a.probability < b.probability
                                        : a.sequence->order > b.sequence->order;
}

// A draft that was chosen: with which probability it comes true, which one of its sequence it is,
// and the rows of the pass that makes it.
struct Taken {
  double probability = 0.0;
  int pass = 0;
  int rows = 0;
};

// The next draft in the order of probability; of probability 0 when none is left.
Taken take_most_likely(std::span<DraftCandidate> candidates) {
  std::ranges::pop_heap(candidates, is_less_likely);
  DraftCandidate& best = candidates.back();
  const bool is_settled = best.backlog <= kSettledBacklog;
  Taken taken;
  if (best.probability >= kLeastProbability) {
    taken = {.probability = best.probability,
             .pass = best.chosen,
             .rows = best.chosen == 0 && is_settled ? std::max(best.backlog, 1) : 1};
    ++best.chosen;
    best.probability = best.chosen < best.most ? best.probability * best.acceptance : 0.0;
  }
  std::ranges::push_heap(candidates, is_less_likely);
  return taken;
}

// What it takes a model to make the drafts that were taken.
class Passes {
 public:
  // `cost` null: nothing.
  explicit Passes(const RowCost* cost) : cost_(cost) {}

  void add(const Taken& taken) {
    if (cost_ == nullptr) return;
    CHECK(taken.pass < kMostPasses, "draft {} of a sequence", taken.pass + 1);
    int& rows = rows_[static_cast<size_t>(taken.pass)];
    if (rows > 0) seconds_ -= cost_->seconds(rows);
    rows += taken.rows;
    seconds_ += cost_->seconds(rows);
  }

  double seconds() const { return seconds_; }

 private:
  const RowCost* cost_;
  std::array<int, kMostPasses> rows_{};
  double seconds_ = 0.0;
};

// How many drafts give the most tokens a second, and what that saves a token.
struct BestCount {
  int drafts = 0;
  double saved_s = 0.0;
};

void begin(std::span<DraftCandidate> candidates) {
  for (DraftCandidate& candidate : candidates) {
    candidate.chosen = 0;
    candidate.probability = candidate.most > 0 ? candidate.acceptance : 0.0;
  }
  std::ranges::make_heap(candidates, is_less_likely);
}

BestCount best_count(std::span<DraftCandidate> candidates, const DraftStep& step,
                     const RowCost& cost) {
  BestCount best;
  const double plain_s = cost.seconds(step.decode_rows);
  if (plain_s <= 0.0) return best;
  const double plain_rate = step.decode_rows / plain_s;
  double tokens = step.decode_rows;
  double best_rate = kWorthwhile * plain_rate;
  Passes passes(step.pass_cost);
  begin(candidates);
  const int most = std::min(step.most_drafts, cost.most_rows() - step.decode_rows);
  for (int count = 1; count <= most; ++count) {
    const Taken taken = take_most_likely(candidates);
    if (taken.probability == 0.0) break;
    tokens += taken.probability;
    passes.add(taken);
    const double seconds =
        std::max(cost.seconds(step.decode_rows + count), plain_s + step.least_row_s * count) +
        passes.seconds();
    if (seconds > std::max(step.longest_s, plain_s)) break;
    if (tokens / seconds <= best_rate) continue;
    best_rate = tokens / seconds;
    best = {.drafts = count, .saved_s = 1.0 / plain_rate - 1.0 / best_rate};
  }
  return best;
}

}  // namespace

double choose_draft_lengths(std::span<DraftCandidate> candidates, const DraftStep& step,
                            const RowCost& cost, DraftLengthRule rule) {
  if (rule == DraftLengthRule::kLongest) {
    int left = step.most_drafts;
    for (DraftCandidate& candidate : candidates) {
      candidate.chosen = std::min(candidate.most, left);
      left -= candidate.chosen;
    }
    return 0.0;
  }
  const BestCount best = best_count(candidates, step, cost);
  begin(candidates);
  for (int i = 0; i < best.drafts; ++i)
    take_most_likely(candidates);
  return best.saved_s;
}

}  // namespace inferno::schedule
