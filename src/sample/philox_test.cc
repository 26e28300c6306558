#include "sample/philox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace inferno::sample {
namespace {

using testing::ElementsAre;

TEST(Philox, GivesTheKnownAnswersOfRandom123) {
  EXPECT_THAT(philox({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_THAT(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(UniformAt, DependsOnBothHalvesOfSeedAndPosition) {
  const std::set<double> values = {uniform_at(1, 1), uniform_at(1, 2), uniform_at(2, 1),
                                   uniform_at(1 | uint64_t{1} << 40, 1),
                                   uniform_at(1, 1 | uint64_t{1} << 40)};
  EXPECT_EQ(values.size(), 5u);
  EXPECT_EQ(uniform_at(7, 9), uniform_at(7, 9));
}

TEST(UniformAt, FillsTheUnitIntervalEvenly) {
  constexpr int kBins = 20, kDraws = 100000;
  std::array<int, kBins> counts{};
  for (int i = 0; i < kDraws; i++) {
    const double u = uniform_at(42, static_cast<uint64_t>(i));
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    counts[static_cast<size_t>(u * kBins)]++;
  }
  double chi_square = 0;
  for (int count : counts) {
    const double difference = count - kDraws / kBins;
    chi_square += difference * difference / (kDraws / kBins);
  }
  EXPECT_LT(chi_square, 43.8);  // 19 degrees of freedom, p = 0.001
}

}  // namespace
}  // namespace inferno::sample
