// Mean, spread and percentiles of a list of measurements, as numpy computes them.
//
// Threads: pure functions. Cost: one sort.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace inferno::load {

struct Distribution {
  size_t count = 0;
  double mean = 0.0;  // 0 like the others when there is no value
  double median = 0.0;
  double deviation = 0.0;                              // of the whole population, as numpy.std
  std::vector<std::pair<double, double>> percentiles;  // (percent, value), in the order asked for

  // The value at that percentage, which must be one of those asked for.
  double at(double percent) const;
};

// Linear between the two nearest ranks (numpy.percentile's default): position percent / 100 * (n -
// 1) in the sorted list; 0 when it is empty. Requires: 0 <= percent <= 100, `sorted` ascending.
double percentile(std::span<const double> sorted, double percent);

Distribution distribution_of(std::vector<double> values, std::span<const double> percents);

// "99", "99.9", "50": a percentage as it stands in a field's name.
std::string percent_name(double percent);

}  // namespace inferno::load
