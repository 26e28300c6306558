#include "sample/selection.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace inferno::sample {
namespace {

// Whether any of 16 logits times `factor` is at least `least`; written so that the compiler
// compares them side by side.
bool any_reaches(const float* logits, float factor, float least) {
  int reached = 0;
  for (int i = 0; i < 16; i++)
    reached |= static_cast<int>(logits[i] * factor >= least);
  return reached != 0;
}

}  // namespace

// As many blocks as are wanted tokens hold one each that is at least the `count`-th largest of the
// blocks' maxima: what is below is none of the first. Where there are fewer blocks, nothing is
// known.
float Selection::bar_of_blocks(const LogitRow& row, size_t count) {
  if (count > row.block_count()) return row.floor();
  maxima_.clear();
  for (size_t b = 0; b < row.block_count(); b++)
    maxima_.push_back(row.maximum(b));
  const auto nth = maxima_.begin() + static_cast<ptrdiff_t>(count) - 1;
  std::nth_element(maxima_.begin(), nth, maxima_.end(), std::greater<>());
  return std::max(row.floor(), *nth);
}

// Candidates gather in a buffer; when it is full, all but the best `count` go, and the worst of
// those becomes the bar. Ids ascend, so an equal that comes later comes later in the order too, and
// is rightly dropped.
std::span<const Candidate> Selection::largest(const LogitRow& row, int count) {
  candidates_.clear();
  if (count <= 0) return {};
  const auto wanted = static_cast<size_t>(count);
  const size_t capacity = std::max<size_t>(2 * wanted, 256);
  float least = bar_of_blocks(row, wanted);
  const auto nth = [&] { return candidates_.begin() + static_cast<ptrdiff_t>(wanted) - 1; };
  const auto take = [&](size_t i) {
    const float value = row.value(i);
    if (!(value >= least)) return;
    candidates_.push_back({static_cast<TokenId>(i), value});
    if (candidates_.size() < capacity) return;
    std::nth_element(candidates_.begin(), nth(), candidates_.end(), comes_before);
    candidates_.resize(wanted);
    least = std::nextafter(candidates_.back().logit, kInfinity);
  };
  for (size_t b = 0; b < row.block_count(); b++) {
    if (!(row.maximum(b) >= least)) continue;
    const size_t end = row.block_end(b);
    size_t i = row.block_begin(b);
    for (; i + 16 <= end; i += 16) {
      if (!any_reaches(row.logits() + i, row.factor(), least)) continue;
      for (size_t j = i; j < i + 16; j++)
        take(j);
    }
    for (; i < end; i++)
      take(i);
  }
  if (candidates_.size() > wanted) {
    std::nth_element(candidates_.begin(), nth(), candidates_.end(), comes_before);
    candidates_.resize(wanted);
  }
  std::sort(candidates_.begin(), candidates_.end(), comes_before);
  return candidates_;
}

void Selection::keep_largest(std::span<float> logits, int count) {
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); i++) {
    if (logits[i] > -kInfinity) candidates_.push_back({static_cast<TokenId>(i), logits[i]});
  }
  const auto wanted = static_cast<size_t>(std::max(count, 0));
  if (candidates_.size() <= wanted) return;
  const auto end = candidates_.begin() + static_cast<ptrdiff_t>(wanted);
  std::nth_element(candidates_.begin(), end, candidates_.end(), comes_before);
  for (auto c = end; c != candidates_.end(); ++c) {
    logits[static_cast<size_t>(c->token)] = -kInfinity;
  }
}

}  // namespace inferno::sample
