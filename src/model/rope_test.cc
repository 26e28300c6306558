#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace inferno::model {
namespace {

ModelConfig rope_config(int rope_width) {
  ModelConfig config;
  config.rope_width = rope_width;
  return config;
}

TEST(Rope, AgreesWithTheLibrarysSineAndCosineUpToAMillionPositions) {
  const Rope rope(rope_config(64), 10000.0f, {}, {});
  ASSERT_EQ(rope.pair_count(), 32);
  std::vector<float> cos(32);
  std::vector<float> sin(32);
  for (const int position : {0, 1, 2, 17, 511, 8191, 131071, 1048575}) {
    rope.angles(position, cos.data(), sin.data());
    for (int pair = 0; pair < 32; ++pair) {
      const auto frequency = static_cast<float>(std::pow(10000.0, -2.0 * pair / 64.0));
      const double angle = static_cast<double>(position) * static_cast<double>(frequency);
      EXPECT_NEAR(cos[static_cast<size_t>(pair)], std::cos(angle), 1e-7) << position << " " << pair;
      EXPECT_NEAR(sin[static_cast<size_t>(pair)], std::sin(angle), 1e-7) << position << " " << pair;
    }
  }
}

TEST(Rope, LinearScalingIsTheRotationOfAnEarlierPosition) {
  const Rope plain(rope_config(32), 500000.0f, {}, {});
  const Rope scaled(rope_config(32), 500000.0f,
                    {.kind = RopeScaling::Kind::kLinear, .factor = 4.0f}, {});
  std::vector<float> a(32);
  std::vector<float> b(32);
  plain.angles(25, a.data(), a.data() + 16);
  scaled.angles(100, b.data(), b.data() + 16);
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(a[i], b[i], 1e-5f);
}

TEST(Rope, Llama3KeepsShortWavelengthsAndStretchesLongOnes) {
  const RopeScaling scaling{.kind = RopeScaling::Kind::kLlama3,
                            .factor = 8.0f,
                            .low_freq_factor = 1.0f,
                            .high_freq_factor = 4.0f,
                            .original_context = 8192};
  const Rope plain(rope_config(128), 500000.0f, {}, {});
  const Rope scaled(rope_config(128), 500000.0f, scaling, {});
  std::vector<float> a(128);
  std::vector<float> b(128);
  plain.angles(1, a.data(), a.data() + 64);
  scaled.angles(1, b.data(), b.data() + 64);
  EXPECT_EQ(a[64], b[64]);                    // the fastest pair turns as before
  EXPECT_NEAR(a[127] / 8.0f, b[127], 1e-9f);  // the slowest turns an eighth as far
}

TEST(Rope, FactorsDivideFrequencies) {
  const std::vector<float> factors = {1.0f, 2.0f};
  const Rope plain(rope_config(4), 100.0f, {}, {});
  const Rope divided(rope_config(4), 100.0f, {}, factors);
  std::vector<float> a(4);
  std::vector<float> b(4);
  plain.angles(3, a.data(), a.data() + 2);
  divided.angles(6, b.data(), b.data() + 2);
  EXPECT_NEAR(a[1], b[1], 1e-6f);
  EXPECT_NEAR(a[3], b[3], 1e-6f);
}

TEST(Rope, YarnMultipliesBothBySomethingThatGrowsWithTheFactor) {
  const RopeScaling scaling{
      .kind = RopeScaling::Kind::kYarn, .factor = 32.0f, .original_context = 4096};
  const Rope rope(rope_config(64), 150000.0f, scaling, {});
  std::vector<float> cos(32);
  std::vector<float> sin(32);
  rope.angles(0, cos.data(), sin.data());
  EXPECT_NEAR(cos[0], 0.1 * std::log(32.0) + 1.0, 1e-6);
}

}  // namespace
}  // namespace inferno::model
