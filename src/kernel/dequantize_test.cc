// Blocks written by hand for what the conformance files do not hold, and what dequantize() refuses.
// The comparison with real tensors of each type is model/dequantize_golden_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernel/dequantize_formats.h"
#include "kernel/kernels.h"
#include "kernel/types.h"

namespace inferno::kernel {
namespace {

using testing::Each;
using testing::ElementsAre;

constexpr uint16_t kHalfOne = 0x3C00;
constexpr uint16_t kHalfTwo = 0x4000;

std::vector<float> values_of(TensorType type, const std::vector<uint8_t>& bytes) {
  const BlockShape shape = block_shape(type);
  std::vector<float> values(bytes.size() / shape.bytes * shape.elements, -77.0f);
  EXPECT_TRUE(dequantize(type, bytes.data(), values.size(), values.data()));
  return values;
}

void put_half(std::vector<uint8_t>& bytes, size_t at, uint16_t half) {
  bytes[at] = static_cast<uint8_t>(half);
  bytes[at + 1] = static_cast<uint8_t>(half >> 8);
}

std::vector<TensorType> every_type() {
  std::vector<TensorType> types;
  for (uint32_t number = 0; number < 64; number++) {
    if (block_shape(static_cast<TensorType>(number)).bytes != 0) {
      types.push_back(static_cast<TensorType>(number));
    }
  }
  return types;
}

bool has_float_meaning(TensorType type) {
  switch (type) {
    case TensorType::kI8:
    case TensorType::kI16:
    case TensorType::kI32:
    case TensorType::kI64:
    case TensorType::kQ8_1:
    case TensorType::kQ1_0:
    case TensorType::kQ2_0:
      return false;
    default:
      return true;
  }
}

TEST(Types, HaveNamesAndBlocks) {
  EXPECT_EQ(every_type().size(), 35u);
  EXPECT_STREQ(name_of(TensorType::kQ4_K), "Q4_K");
  EXPECT_EQ(block_shape(TensorType::kQ6_K).bytes, 210u);
  EXPECT_EQ(block_shape(TensorType::kQ6_K).elements, 256u);
  for (uint32_t removed : {4u, 5u, 31u, 33u, 36u, 38u, 43u, 4000000000u}) {
    EXPECT_STREQ(name_of(static_cast<TensorType>(removed)), "unknown");
    EXPECT_EQ(block_shape(static_cast<TensorType>(removed)).elements, 0u);
  }
}

TEST(Dequantize, RefusesTypesWithoutFloatMeaning) {
  const std::vector<uint8_t> bytes(4096);
  std::vector<float> out(4096);
  for (TensorType type : every_type()) {
    const size_t count = block_shape(type).elements;
    EXPECT_EQ(dequantize(type, bytes.data(), count, out.data()), has_float_meaning(type))
        << name_of(type);
  }
  EXPECT_FALSE(dequantize(static_cast<TensorType>(99), bytes.data(), 32, out.data()));
}

TEST(Dequantize, RefusesPartsOfBlocks) {
  const std::vector<uint8_t> bytes(4096);
  std::vector<float> out(4096);
  EXPECT_FALSE(dequantize(TensorType::kQ4_0, bytes.data(), 33, out.data()));
  EXPECT_FALSE(dequantize(TensorType::kQ4_K, bytes.data(), 32, out.data()));
  EXPECT_TRUE(dequantize(TensorType::kQ4_K, bytes.data(), 0, out.data()));
}

// Bytes and floats are exactly as long as they must be, so that a sanitizer sees a step outside.
TEST(Dequantize, ReadsAnyBytesWithoutLeavingThem) {
  std::mt19937 generator(9);
  for (TensorType type : every_type()) {
    if (!has_float_meaning(type)) continue;
    for (size_t blocks = 1; blocks <= 40; blocks++) {
      std::vector<uint8_t> bytes(blocks * block_shape(type).bytes);
      for (uint8_t& b : bytes)
        b = static_cast<uint8_t>(blocks == 1 ? 0xFF : generator());
      EXPECT_EQ(values_of(type, bytes).size(), blocks * block_shape(type).elements);
    }
  }
}

TEST(Dequantize, TreatsBlocksAlike) {
  std::mt19937 generator(10);
  for (TensorType type : every_type()) {
    if (!has_float_meaning(type)) continue;
    const BlockShape shape = block_shape(type);
    std::vector<uint8_t> block(shape.bytes);
    for (uint8_t& b : block)
      b = static_cast<uint8_t>(generator() % 120);  // no NaN
    std::vector<uint8_t> shifted(3 * block.size());
    std::copy(block.begin(), block.end(), shifted.begin() + static_cast<ptrdiff_t>(shape.bytes));
    const auto alone = values_of(type, block);
    const auto among = values_of(type, shifted);
    for (size_t i = 0; i < shape.elements; i++) {
      EXPECT_EQ(alone[i], among[shape.elements + i]) << name_of(type) << " element " << i;
    }
  }
}

TEST(Dequantize, ReadsEveryHalf) {
  for (uint32_t bits = 0; bits < 0x10000; bits++) {
    const uint8_t bytes[2] = {static_cast<uint8_t>(bits), static_cast<uint8_t>(bits >> 8)};
    const float got = load_f16(bytes);
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const int mantissa = static_cast<int>(bits & 1023);
    const float sign = (bits & 0x8000) != 0 ? -1.0f : 1.0f;
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(got), mantissa != 0);
      if (mantissa == 0) {
        EXPECT_EQ(got, sign * INFINITY);
      }
      continue;
    }
    const double magnitude =
        exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    ASSERT_EQ(got, sign * static_cast<float>(magnitude)) << bits;
    ASSERT_EQ(std::signbit(got), sign < 0);
  }
}

TEST(Dequantize, ReadsPlainFloats) {
  const float f32[] = {1.5f, -2.25f};
  std::vector<uint8_t> bytes(sizeof f32);
  memcpy(bytes.data(), f32, sizeof f32);
  EXPECT_THAT(values_of(TensorType::kF32, bytes), ElementsAre(1.5f, -2.25f));
  EXPECT_THAT(values_of(TensorType::kBF16, {0x80, 0x3F, 0x20, 0xC1}), ElementsAre(1.0f, -10.0f));
  EXPECT_THAT(values_of(TensorType::kF16, {0x00, 0x3C, 0x00, 0xC9}), ElementsAre(1.0f, -10.0f));
  const double f64[] = {0.1, -1e300};
  bytes.resize(sizeof f64);
  memcpy(bytes.data(), f64, sizeof f64);
  EXPECT_THAT(values_of(TensorType::kF64, bytes), ElementsAre(0.1f, -INFINITY));
}

TEST(Dequantize, ReadsQ8K) {
  std::vector<uint8_t> block(292);
  const float scale = 0.5f;
  memcpy(block.data(), &scale, sizeof scale);
  for (size_t i = 0; i < 256; i++)
    block[4 + i] = static_cast<uint8_t>(i);
  const auto values = values_of(TensorType::kQ8_K, block);
  for (size_t i = 0; i < 256; i++) {
    EXPECT_EQ(values[i], 0.5f * static_cast<float>(i < 128 ? i : static_cast<double>(i) - 256));
  }
}

TEST(Dequantize, ReadsNvfp4) {
  std::vector<uint8_t> block(36);
  block[0] = 7 << 3;      // 2^0
  block[1] = 8 << 3 | 4;  // 2^1 * 1.5
  block[2] = 1;           // 2^-9, subnormal
  block[3] = 0x7F;        // NaN, taken as 0
  for (size_t i = 4; i < 36; i++)
    block[i] = static_cast<uint8_t>((i - 4) % 8 * 2 * 17 % 256);
  const auto values = values_of(TensorType::kNVFP4, block);
  // Codes 0, 2, 4, 6, 8, ... mean 0, 1, 2, 4, -0, -1, -2, -4; the high nibbles repeat them here.
  const float levels[8] = {0, 1, 2, 4, 0, -1, -2, -4};
  const float scales[4] = {1.0f, 3.0f, std::ldexp(1.0f, -9), 0.0f};
  for (size_t i = 0; i < 64; i++) {
    EXPECT_EQ(values[i], scales[i / 16] * levels[i % 8]) << i;
  }
}

TEST(Dequantize, ReadsMxfp4AtTheEndsOfItsScale) {
  std::vector<uint8_t> block(17, 0x22);  // every code 2: the level 1
  for (int exponent : {0, 1, 2, 127, 200, 254}) {
    block[0] = static_cast<uint8_t>(exponent);
    EXPECT_THAT(values_of(TensorType::kMXFP4, block), Each(std::ldexp(1.0f, exponent - 127)));
  }
}

TEST(Dequantize, SubtractsTheMinimumOfQ4K) {
  std::vector<uint8_t> block(144);
  put_half(block, 0, kHalfOne);
  put_half(block, 2, kHalfTwo);
  block[4] = 3;                // scale of sub-block 0
  block[8] = 5;                // its minimum
  block[4 + 7] = 2 << 6;       // high bits of the minimum of sub-block 7
  block[4 + 11] = 1 << 4 | 6;  // low bits of its minimum and scale
  for (size_t i = 16; i < 144; i++)
    block[i] = 0xF4;
  const auto values = values_of(TensorType::kQ4_K, block);
  for (size_t i = 0; i < 32; i++) {
    EXPECT_EQ(values[i], 3.0f * 4 - 2.0f * 5);
    EXPECT_EQ(values[32 + i], 0.0f);
    EXPECT_EQ(values[224 + i], 6.0f * 15 - 2.0f * 33);
  }
}

TEST(Dequantize, ReadsTernaryDigitsFromTheFront) {
  std::vector<uint8_t> block(54);
  put_half(block, 52, kHalfTwo);
  // Digits 2 0 1 2 1 base 3 are 178 of 243; stored as a fraction of 256, rounded up.
  std::fill(block.begin(), block.begin() + 52, static_cast<uint8_t>((178 * 256 + 242) / 243));
  const auto values = values_of(TensorType::kTQ1_0, block);
  const float digits[] = {2.0f, -2.0f, 0.0f, 2.0f, 0.0f};
  for (size_t i = 0; i < 160; i++)
    EXPECT_EQ(values[i], digits[i / 32]) << i;
  for (size_t i = 0; i < 80; i++)
    EXPECT_EQ(values[160 + i], digits[i / 16]) << i;
  for (size_t i = 0; i < 16; i++)
    EXPECT_EQ(values[240 + i], digits[i / 4]) << i;
}

}  // namespace
}  // namespace inferno::kernel
