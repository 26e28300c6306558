#include "schedule/row_cost.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace inferno::schedule {
namespace {

// How much of a step's difference from what was expected becomes level, and how much shape: the
// last dozen steps count.
constexpr double kGain = 0.125;
// A step is believed to be off by no more than this factor: the rest was a page fault or another
// process.
constexpr double kMostOff = 2.0;

// May be tried before anything is known.
constexpr int kFirstRows = 32;

}  // namespace

// Fewer than 16 rows: an entry each. Above, one for each quarter of an octave: 16, 20, 24, 28, 32,
// 40, ... rows and more.
size_t RowCost::index_of(int rows) {
  const auto count = static_cast<size_t>(std::max(rows, 1));
  if (count <= kExact) return count - 1;
  const auto octave = static_cast<size_t>(std::bit_width(count)) - 1;  // at least 4
  const size_t quarter = (count >> (octave - 2)) & (kPerOctave - 1);
  return std::min(kExact + (octave - 4) * kPerOctave + quarter, kSize - 1);
}

// The fewest rows of an entry.
double RowCost::rows_of(size_t index) {
  if (index < kExact) return static_cast<double>(index + 1);
  const size_t octave = 4 + (index - kExact) / kPerOctave;
  const size_t quarter = (index - kExact) % kPerOctave;
  return std::ldexp(static_cast<double>(kPerOctave + quarter), static_cast<int>(octave) - 2);
}

bool RowCost::is_known(size_t index) const {
  const Shape& shape = shapes_[index];
  if (index == lowest_) return true;
  return shape.trials >= kTrials && step_ - shape.last_step <= kStaleSteps;
}

void RowCost::learn(int rows, double seconds) {
  if (seconds <= 0.0) return;
  ++step_;
  const size_t index = index_of(rows);
  if (level_ == 0.0) level_ = seconds;
  lowest_ = std::min(lowest_, index);
  Shape& shape = shapes_[index];
  if (step_ - shape.last_step > kStaleSteps) shape.trials = 0;
  shape.last_step = step_;
  if (shape.trials < kTrials) {
    const double value = seconds / level_;
    shape.value = shape.trials == 0 ? value : std::min(shape.value, value);
    ++shape.trials;
  } else {
    const double off = seconds / (level_ * shape.value);
    const double change = 1.0 + kGain * (std::clamp(off, 1.0 / kMostOff, kMostOff) - 1.0);
    level_ *= change;
    shape.value *= change;
  }
  draw_curve();
}

void RowCost::draw_curve() {
  const double base = shapes_[lowest_].value;
  const double untried = base * std::min(kUntriedShare, kUntriedDouble / rows_of(lowest_));
  size_t below = lowest_;
  for (size_t i = 0; i <= lowest_; ++i)
    curve_[i] = base;
  while (below + 1 < kSize) {
    size_t above = below + 1;
    while (above < kSize && !is_known(above))
      ++above;
    const bool is_between = above < kSize;
    const double slope = is_between
                             ? (std::max(shapes_[above].value, curve_[below]) - curve_[below]) /
                                   (rows_of(above) - rows_of(below))
                             : untried;
    for (size_t i = below + 1; i < kSize && i <= above; ++i)
      curve_[i] = curve_[below] + slope * (rows_of(i) - rows_of(below));
    below = above;
  }
}

int RowCost::most_rows() const {
  size_t highest = kSize;
  while (highest > 0 && (shapes_[highest - 1].trials == 0 || !is_known(highest - 1)))
    --highest;
  if (highest == 0) return kFirstRows;
  return std::max(kFirstRows, static_cast<int>(2.0 * rows_of(highest - 1)));
}

double RowCost::seconds(int rows) const {
  if (level_ == 0.0) return 0.0;
  const size_t index = index_of(rows);
  const double begin = rows_of(index);
  double shape = curve_[index];
  if (index + 1 < kSize && rows > begin) {
    const double share = (rows - begin) / (rows_of(index + 1) - begin);
    shape += std::min(share, 1.0) * (curve_[index + 1] - shape);
  }
  return level_ * shape;
}

}  // namespace inferno::schedule
