#include "load/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace inferno::load {
namespace {

constexpr uint64_t kSeed = 20;
constexpr int kDraws = 200'000;

struct Moments {
  double mean = 0.0;
  double variance = 0.0;
};

template <typename Draw>
Moments moments_of(Draw draw) {
  std::vector<double> values(kDraws);
  for (double& value : values)
    value = draw();
  Moments out;
  out.mean = std::accumulate(values.begin(), values.end(), 0.0) / kDraws;
  for (const double value : values)
    out.variance += (value - out.mean) * (value - out.mean) / kDraws;
  return out;
}

TEST(Random, SameSeedAndStreamGiveTheSameNumbers) {
  Random a(1, 2), b(1, 2), other_seed(2, 2), other_stream(1, 3);
  for (int i = 0; i < 100; ++i) {
    const uint64_t value = a.next();
    EXPECT_EQ(value, b.next());
    EXPECT_NE(value, other_seed.next());
    EXPECT_NE(value, other_stream.next());
  }
}

TEST(Random, UniformHasItsMoments) {
  Random random(kSeed, 0);
  const Moments m = moments_of([&] { return random.uniform(); });
  EXPECT_NEAR(m.mean, 0.5, 0.005);
  EXPECT_NEAR(m.variance, 1.0 / 12.0, 0.002);
}

TEST(Random, BelowReachesEveryNumberAboutEquallyOften) {
  Random random(kSeed, 0);
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i)
    ++counts[random.below(7)];
  for (const int count : counts)
    EXPECT_NEAR(count, 10'000, 500);
}

TEST(Random, NormalHasItsMoments) {
  Random random(kSeed, 0);
  const Moments m = moments_of([&] { return random.normal(); });
  EXPECT_NEAR(m.mean, 0.0, 0.01);
  EXPECT_NEAR(m.variance, 1.0, 0.02);
}

TEST(Random, GammaHasItsMomentsAboveAndBelowShapeOne) {
  for (const double shape : {0.2, 0.5, 1.0, 2.0, 9.0}) {
    Random random(kSeed, 0);
    const double scale = 3.0 / shape;
    const Moments m = moments_of([&] { return random.gamma(shape, scale); });
    EXPECT_NEAR(m.mean, 3.0, 0.1) << "shape " << shape;
    EXPECT_NEAR(m.variance / (shape * scale * scale), 1.0, 0.05) << "shape " << shape;
  }
}

TEST(Random, ShuffleKeepsEveryItem) {
  std::vector<int> items(100);
  std::iota(items.begin(), items.end(), 0);
  Random random(kSeed, 0);
  random.shuffle(std::span<int>(items));
  std::vector<int> sorted = items;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_NE(sorted, items);
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(sorted[static_cast<size_t>(i)], i);
}

}  // namespace
}  // namespace inferno::load
