// A row of logits the way the sampler reads it: through a factor and a floor, and with the largest
// of each of its blocks, so that most blocks need not be looked at.
//
// Nothing is written: value(i) is what would stand there if the row had been multiplied by `factor`
// and emptied below a floor.
#pragma once

#include <algorithm>
#include <limits>
#include <span>

#include "kernel/kernels.h"

namespace inferno::sample {

// Its negative is the logit of a token that cannot be chosen.
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

class LogitRow {
 public:
  static constexpr size_t kBlock = static_cast<size_t>(kernel::kMaximaBlock);

  // `maxima`: of KernelTable::block_maxima(logits). Requires: factor > 0, so that it changes no
  // order.
  LogitRow(std::span<const float> logits, std::span<const float> maxima, float factor = 1.0f)
      : logits_(logits), maxima_(maxima), factor_(factor) {}

  void set_floor(float floor) { floor_ = floor; }

  size_t size() const { return logits_.size(); }
  size_t block_count() const { return maxima_.size(); }
  // True: values are the logits themselves.
  bool is_plain() const { return factor_ == 1.0f && floor_ == kNone; }
  const float* logits() const { return logits_.data(); }
  float factor() const { return factor_; }
  float floor() const { return floor_; }

  float value(size_t i) const { return at_floor(logits_[i] * factor_); }
  // No value of block `b` is larger.
  float maximum(size_t b) const { return at_floor(maxima_[b] * factor_); }

  size_t block_begin(size_t b) const { return b * kBlock; }
  size_t block_end(size_t b) const { return std::min((b + 1) * kBlock, logits_.size()); }

 private:
  static constexpr float kNone = -std::numeric_limits<float>::infinity();

  // A NaN stays one unless there is a floor.
  float at_floor(float value) const { return floor_ == kNone || value >= floor_ ? value : kNone; }

  std::span<const float> logits_;
  std::span<const float> maxima_;
  float factor_;
  float floor_ = kNone;
};

}  // namespace inferno::sample
