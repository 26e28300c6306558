#include "load/statistics.h"

#include <gtest/gtest.h>

#include <array>

namespace inferno::load {
namespace {

// Expected values are numpy's for the same lists.

TEST(Percentile, IsLinearBetweenTheNearestRanks) {
  const std::array<double, 4> values{1.0, 2.0, 3.0, 4.0};
  EXPECT_DOUBLE_EQ(percentile(values, 0.0), 1.0);
  EXPECT_DOUBLE_EQ(percentile(values, 25.0), 1.75);
  EXPECT_DOUBLE_EQ(percentile(values, 50.0), 2.5);
  EXPECT_DOUBLE_EQ(percentile(values, 90.0), 3.7);
  EXPECT_DOUBLE_EQ(percentile(values, 99.0), 3.97);
  EXPECT_DOUBLE_EQ(percentile(values, 100.0), 4.0);
}

TEST(Percentile, OfOneValueIsThatValueAndOfNoneZero) {
  const std::array<double, 1> one{7.0};
  EXPECT_EQ(percentile(one, 0.0), 7.0);
  EXPECT_EQ(percentile(one, 99.0), 7.0);
  EXPECT_EQ(percentile({}, 99.0), 0.0);
}

TEST(Distribution, HasNumpysMeanMedianDeviationAndPercentiles) {
  const std::array<double, 2> percents{99.0, 12.5};
  const Distribution d = distribution_of({15.0, 3.0, 8.0, 1.0, 100.0}, percents);
  EXPECT_EQ(d.count, 5U);
  EXPECT_DOUBLE_EQ(d.mean, 25.4);
  EXPECT_DOUBLE_EQ(d.median, 8.0);
  EXPECT_NEAR(d.deviation, 37.61170030721823, 1e-9);
  EXPECT_DOUBLE_EQ(d.at(99.0), 96.6);
  EXPECT_DOUBLE_EQ(d.at(12.5), 2.0);
}

TEST(Distribution, OfNothingIsZero) {
  const std::array<double, 1> percents{99.0};
  const Distribution d = distribution_of({}, percents);
  EXPECT_EQ(d.count, 0U);
  EXPECT_EQ(d.mean, 0.0);
  EXPECT_EQ(d.deviation, 0.0);
  EXPECT_EQ(d.at(99.0), 0.0);
}

TEST(PercentName, HasNoNeedlessDigits) {
  EXPECT_EQ(percent_name(99.0), "99");
  EXPECT_EQ(percent_name(99.9), "99.9");
  EXPECT_EQ(percent_name(5.0), "5");
}

}  // namespace
}  // namespace inferno::load
