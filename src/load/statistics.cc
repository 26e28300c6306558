#include "load/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"

namespace inferno::load {

double Distribution::at(double percent) const {
  const auto found = std::ranges::find(percentiles, percent, &std::pair<double, double>::first);
  CHECK(found != percentiles.end(), "percentile {} was not computed", percent);
  return found->second;
}

double percentile(std::span<const double> sorted, double percent) {
  CHECK(percent >= 0.0 && percent <= 100.0, "percentile {}", percent);
  if (sorted.empty()) return 0.0;
  const double position = percent / 100.0 * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double share = position - std::floor(position);
  return sorted[below] + share * (sorted[above] - sorted[below]);
}

Distribution distribution_of(std::vector<double> values, std::span<const double> percents) {
  std::ranges::sort(values);
  Distribution out;
  out.count = values.size();
  out.median = percentile(values, 50.0);
  for (const double percent : percents)
    out.percentiles.emplace_back(percent, percentile(values, percent));
  if (values.empty()) return out;
  const auto count = static_cast<double>(values.size());
  out.mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0.0;
  for (const double value : values)
    squares += (value - out.mean) * (value - out.mean);
  out.deviation = std::sqrt(squares / count);
  return out;
}

std::string percent_name(double percent) {
  return fmt::format("{:g}", percent);
}

}  // namespace inferno::load
