#include "sample/selection.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace inferno::sample {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Whether any of 16 logits is at least `least`; written so that the compiler compares them side by
// side.
bool any_reaches(const float* logits, float least) {
  int reached = 0;
  for (int i = 0; i < 16; i++)
    reached |= static_cast<int>(logits[i] >= least);
  return reached != 0;
}

}  // namespace

// Candidates gather in a buffer; when it is full, all but the best `count` go, and the worst of
// those becomes the bar. Ids ascend, so an equal that comes later comes later in the order too, and
// is rightly dropped.
std::span<const Candidate> Selection::largest(std::span<const float> logits, int count,
                                              float floor) {
  candidates_.clear();
  if (count <= 0) return {};
  const auto wanted = static_cast<size_t>(count);
  const size_t capacity = std::max<size_t>(2 * wanted, 256);
  float least = floor;
  const auto nth = [&] { return candidates_.begin() + static_cast<ptrdiff_t>(wanted) - 1; };
  const auto take = [&](size_t i) {
    if (!(logits[i] >= least)) return;
    candidates_.push_back({static_cast<TokenId>(i), logits[i]});
    if (candidates_.size() < capacity) return;
    std::nth_element(candidates_.begin(), nth(), candidates_.end(), comes_before);
    candidates_.resize(wanted);
    least = std::nextafter(candidates_.back().logit, kInfinity);
  };
  size_t i = 0;
  for (; i + 16 <= logits.size(); i += 16) {
    if (!any_reaches(&logits[i], least)) continue;
    for (size_t j = i; j < i + 16; j++)
      take(j);
  }
  for (; i < logits.size(); i++)
    take(i);
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
