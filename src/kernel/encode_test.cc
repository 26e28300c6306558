// Quantizers of weights: how close they come, and that no float is too strange for them.
#include "kernel/encode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernel/dequantize_formats.h"
#include "kernel/kernels.h"

namespace inferno::kernel {
namespace {

constexpr TensorType kEncoded[] = {TensorType::kQ8_0, TensorType::kQ4_1, TensorType::kQ4_K};

std::vector<float> there_and_back(TensorType type, const std::vector<float>& values) {
  const BlockShape shape = block_shape(type);
  std::vector<uint8_t> blocks(values.size() / shape.elements * shape.bytes);
  EXPECT_TRUE(encode(type, values.data(), values.size(), blocks.data()));
  std::vector<float> back(values.size());
  EXPECT_TRUE(dequantize(type, blocks.data(), back.size(), back.data()));
  return back;
}

TEST(Encode, Float16IsTheNearest) {
  const std::vector<float> values = {
      1.0f, -0.333f, 1e-7f, 65504.0f, 1e9f, -1e9f, std::numeric_limits<float>::quiet_NaN()};
  const std::vector<float> back = there_and_back(TensorType::kF16, values);
  EXPECT_EQ(back[0], 1.0f);
  EXPECT_NEAR(back[1], -0.333f, 0.333f / 2048);
  EXPECT_NEAR(back[2], 1e-7f, 3e-8f);
  EXPECT_THAT(std::vector<float>(back.begin() + 3, back.end()),
              ::testing::ElementsAre(65504.0f, 65504.0f, -65504.0f, 0.0f));
}

// Squared error over squared values.
double relative_squared_error(const std::vector<float>& got, const std::vector<float>& want) {
  double error = 0.0, power = 0.0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += std::pow(static_cast<double>(got[i]) - static_cast<double>(want[i]), 2);
    power += std::pow(static_cast<double>(want[i]), 2);
  }
  return error / power;
}

std::vector<float> normal_values(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 0.02f);
  std::vector<float> values(count);
  for (float& value : values)
    value = normal(random);
  return values;
}

// Scale and minimum straight from the least and the largest of 32 values: what a search must beat.
std::vector<float> rounded_between_extremes(const std::vector<float>& values) {
  std::vector<float> result;
  for (size_t begin = 0; begin < values.size(); begin += 32) {
    const auto first = values.begin() + static_cast<ptrdiff_t>(begin);
    const auto [least, most] = std::minmax_element(first, first + 32);
    const float step = (*most - *least) / 15.0f;
    for (auto value = first; value != first + 32; ++value) {
      result.push_back(*least + step * std::nearbyint((*value - *least) / step));
    }
  }
  return result;
}

TEST(Encode, EightBitsKeepNormalWeightsToOneInThirtyThousand) {
  const std::vector<float> values = normal_values(65536, 1);
  EXPECT_LT(relative_squared_error(there_and_back(TensorType::kQ8_0, values), values), 4e-5);
}

TEST(Encode, FourBitSearchBeatsRoundingBetweenExtremes) {
  const std::vector<float> values = normal_values(65536, 2);
  const double plain = relative_squared_error(rounded_between_extremes(values), values);
  const double q4_1 = relative_squared_error(there_and_back(TensorType::kQ4_1, values), values);
  const double q4_k = relative_squared_error(there_and_back(TensorType::kQ4_K, values), values);
  RecordProperty("plain", std::to_string(plain));
  RecordProperty("q4_1", std::to_string(q4_1));
  RecordProperty("q4_k", std::to_string(q4_k));
  EXPECT_LT(q4_1, plain * 0.92);
  EXPECT_LT(q4_k, plain * 0.95);
  EXPECT_LT(q4_k, 0.0065);
}

TEST(Encode, ValuesOnAGridSurvive) {
  std::mt19937 random(3);
  std::vector<float> values(256);
  for (float& value : values)
    value = 0.25f * static_cast<float>(random() % 16) - 1.5f;
  for (size_t begin = 0; begin < 256; begin += 32) {
    values[begin] = -1.5f;  // so that each group spans the whole grid
    values[begin + 1] = 2.25f;
  }
  for (const TensorType type : {TensorType::kQ4_1, TensorType::kQ4_K}) {
    const std::vector<float> back = there_and_back(type, values);
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_NEAR(back[i], values[i], 0.002f) << name_of(type);
  }
}

TEST(Encode, EqualValuesSurvive) {
  for (const TensorType type : kEncoded) {
    for (const float value : {0.0f, 0.5f, -0.5f, 1e-6f, 60000.0f, -60000.0f}) {
      for (const float back : there_and_back(type, std::vector<float>(256, value))) {
        EXPECT_NEAR(back, value, std::fabs(value) * 0.01f + 3e-6f) << name_of(type);
      }
    }
  }
}

TEST(Encode, ErrorOfEachCodeIsHalfAStepAtMost) {
  const std::vector<float> values = normal_values(32, 4);
  const std::vector<float> back = there_and_back(TensorType::kQ8_0, values);
  float largest = 0.0f;
  for (const float value : values)
    largest = std::max(largest, std::fabs(value));
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_LE(std::fabs(back[i] - values[i]), largest / 127.0f * 0.51f);
}

TEST(Encode, AnyFloatsBecomeFiniteBlocks) {
  std::mt19937 random(5);
  for (const TensorType type : kEncoded) {
    for (int trial = 0; trial < 200; ++trial) {
      std::vector<float> values(256);
      for (float& value : values)
        value = std::bit_cast<float>(static_cast<uint32_t>(random()));
      if (trial % 3 == 0) values.assign(256, std::numeric_limits<float>::infinity());
      if (trial % 5 == 0) values.assign(256, std::numeric_limits<float>::denorm_min());
      if (trial % 7 == 0) values[trial % 256] = std::numeric_limits<float>::quiet_NaN();
      for (const float back : there_and_back(type, values))
        ASSERT_TRUE(std::isfinite(back)) << name_of(type) << " trial " << trial;
    }
  }
}

TEST(Encode, RefusesOtherTypesAndPartsOfBlocks) {
  const std::vector<float> values(256);
  std::vector<uint8_t> out(4096);
  EXPECT_FALSE(encode(TensorType::kQ6_K, values.data(), 256, out.data()));
  EXPECT_FALSE(encode(TensorType::kQ4_K, values.data(), 128, out.data()));
  EXPECT_FALSE(encode(TensorType::kQ8_0, values.data(), 31, out.data()));
}

TEST(F16Of, EveryHalfComesBackAndHalfwayGoesToEven) {
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const uint8_t bytes[2] = {static_cast<uint8_t>(bits), static_cast<uint8_t>(bits >> 8)};
    const float value = load_f16(bytes);
    EXPECT_EQ(f16_of(value), bits);
    EXPECT_EQ(f16_of(-value), bits | 0x8000);
    const uint8_t next_bytes[2] = {static_cast<uint8_t>(bits + 1),
                                   static_cast<uint8_t>((bits + 1) >> 8)};
    const float next = bits + 1 == 0x7c00 ? 65536.0f : load_f16(next_bytes);
    const float middle = (value + next) / 2.0f;
    EXPECT_EQ(f16_of(middle), bits % 2 == 0 ? bits : bits + 1);
    EXPECT_EQ(f16_of(std::nextafter(middle, 0.0f)), bits);
    EXPECT_EQ(f16_of(std::nextafter(middle, 1e9f)), bits + 1);
  }
  EXPECT_EQ(f16_of(INFINITY), 0x7c00);
  EXPECT_EQ(f16_of(1e30f), 0x7c00);
}

TEST(Bf16Of, RoundsToNearestEven) {
  EXPECT_EQ(bf16_of(1.0f), 0x3f80);
  EXPECT_EQ(bf16_of(std::bit_cast<float>(0x3f808000u)), 0x3f80);
  EXPECT_EQ(bf16_of(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_EQ(bf16_of(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(bf16_of(-INFINITY), 0xff80);
  EXPECT_GT(bf16_of(std::numeric_limits<float>::quiet_NaN()) & 0x7fff, 0x7f80);
}

}  // namespace
}  // namespace inferno::kernel
