#include "load/arrivals.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace inferno::load {
namespace {

constexpr size_t kCount = 50'000;

// Variance over squared mean of the gaps: 1 / burstiness for a gamma distribution.
double squared_variation(const std::vector<double>& times) {
  double sum = 0.0;
  double squares = 0.0;
  double previous = 0.0;
  for (const double time : times) {
    sum += time - previous;
    squares += (time - previous) * (time - previous);
    previous = time;
  }
  const double mean = sum / static_cast<double>(times.size());
  return squares / static_cast<double>(times.size()) / (mean * mean) - 1.0;
}

TEST(Arrivals, InfiniteRateIsAllAtOnce) {
  EXPECT_EQ(arrival_times({}, 3, Random(1, 1)), std::vector<double>(3, 0.0));
}

TEST(Arrivals, MeetTheRateExactly) {
  const auto times = arrival_times({.rate_per_s = 8.0, .burstiness = 1.0}, kCount, Random(1, 1));
  EXPECT_TRUE(std::ranges::is_sorted(times));
  EXPECT_NEAR(times.back(), kCount / 8.0, 1e-6);
}

TEST(Arrivals, BurstinessIsTheInverseOfTheSquaredVariation) {
  for (const double burstiness : {0.25, 1.0, 4.0}) {
    const auto times =
        arrival_times({.rate_per_s = 5.0, .burstiness = burstiness}, kCount, Random(7, 1));
    EXPECT_NEAR(squared_variation(times) * burstiness, 1.0, 0.08) << burstiness;
  }
}

TEST(Arrivals, PoissonCountsInASecondHaveVarianceEqualToTheirMean) {
  const auto times = arrival_times({.rate_per_s = 10.0, .burstiness = 1.0}, kCount, Random(3, 1));
  std::vector<double> counts(static_cast<size_t>(kCount / 10.0));
  for (const double time : times) {
    const auto second = static_cast<size_t>(time);
    if (second < counts.size()) ++counts[second];
  }
  double variance = 0.0;
  for (const double count : counts)
    variance += (count - 10.0) * (count - 10.0) / static_cast<double>(counts.size());
  EXPECT_NEAR(variance, 10.0, 1.0);
}

TEST(Arrivals, AreTheSameForTheSameSeed) {
  const ArrivalProcess process{.rate_per_s = 2.0, .burstiness = 0.5};
  EXPECT_EQ(arrival_times(process, 100, Random(1, 1)), arrival_times(process, 100, Random(1, 1)));
  EXPECT_NE(arrival_times(process, 100, Random(1, 1)), arrival_times(process, 100, Random(2, 1)));
}

TEST(Arrivals, NoRequestsHaveNoTimes) {
  EXPECT_TRUE(arrival_times({.rate_per_s = 2.0, .burstiness = 1.0}, 0, Random(1, 1)).empty());
}

}  // namespace
}  // namespace inferno::load
