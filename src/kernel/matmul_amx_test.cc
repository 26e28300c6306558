// The AMX products against the plain ones, bit for bit, on any CPU with AVX-512: where there is no
// AMX, amx_trap.h executes its instructions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "kernel/amx_trap.h"
#include "kernel/isa/table.h"
#include "kernel/isa_detect.h"
#include "kernel/matmul_test_data.h"
#include "kernel/table_proof.h"

namespace inferno::kernel {
namespace {

class Amx : public testing::Test {
 protected:
  void SetUp() override {
    if (!is_supported(Isa::kAvx512)) GTEST_SKIP() << "this CPU has no AVX-512, which AMX needs";
    if (!is_supported(Isa::kAmx)) trap_.emplace();
  }
  bool is_trapped() const { return trap_.has_value(); }

 private:
  std::optional<AmxTrap> trap_;
};
class AmxTypes : public Amx, public testing::WithParamInterface<TensorType> {
 protected:
  int granule() const { return static_cast<int>(block_shape(GetParam()).elements); }
  // A random multiple of the granule, at most `most` or one granule.
  int inputs_up_to(int most) {
    const int blocks = std::max(1, most / granule());
    return granule() * (1 + static_cast<int>(random_() % static_cast<unsigned>(blocks)));
  }
  std::mt19937 random_{77};
};

// The first element of which bits differ, or -1. A NaN is a NaN.
int first_different(const std::vector<float>& a, const std::vector<float>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return static_cast<int>(i);
  }
  return -1;
}

TEST_P(AmxTypes, GiveTheBitsOfThePlainOnesForEveryNumberOfRows) {
  constexpr int kMostRows = 130;
  const int n = 17 + static_cast<int>(random_() % 40);
  const int k = granule() == 256 ? 768 : inputs_up_to(granule() == 1 ? 700 : 384);
  const PackedTensor w = packed(GetParam(), n, k, random_tensor(GetParam(), n, k, random_));
  Activations x(random_floats(static_cast<size_t>(kMostRows * k), random_), kMostRows, k,
                activation_kind(w.matrix.format));
  const std::vector<float> all = product(*table(Isa::kPlain), w.matrix, x.input());
  for (int rows = 1; rows <= kMostRows; rows += rows < 35 ? 1 : 5) {
    MatmulInput input = x.input();
    input.rows = x.quantized().rows = rows;
    const std::vector<float> want(all.begin(), all.begin() + rows * n);
    ASSERT_EQ(first_different(product(amx_table(), w.matrix, input), want), -1)
        << "rows " << rows << " n " << n << " k " << k;
  }
}

TEST_P(AmxTypes, GiveTheBitsOfThePlainOnesForEveryTailOfOutputsAndInputs) {
  for (const int n : {1, 15, 16, 31, 32, 33, 48, 63, 65}) {
    const int k = inputs_up_to(granule() == 32 ? 640 : 1024);
    const int rows = 9 + static_cast<int>(random_() % 40);
    const PackedTensor w = packed(GetParam(), n, k, random_tensor(GetParam(), n, k, random_));
    const Activations x(random_floats(static_cast<size_t>(rows * k), random_), rows, k,
                        activation_kind(w.matrix.format));
    const std::vector<float> want = product(*table(Isa::kPlain), w.matrix, x.input());
    ASSERT_EQ(first_different(product(amx_table(), w.matrix, x.input()), want), -1)
        << "rows " << rows << " n " << n << " k " << k;
  }
}

// The bytes of a tensor [n, k] of which all but the float16 (or MXFP4's) scales are `fill`.
std::vector<uint8_t> filled_tensor(TensorType type, std::vector<uint8_t> tensor, int fill) {
  const std::vector<size_t> offsets = f16_offsets(type);
  for (size_t i = 0; i < tensor.size(); ++i) {
    const size_t at = i % block_shape(type).bytes;
    bool is_scale = type == TensorType::kMXFP4 && at == 0;
    for (const size_t offset : offsets)
      is_scale = is_scale || at == offset || at == offset + 1;
    if (!is_scale) tensor[i] = static_cast<uint8_t>(fill);
    // Half of the float16 of IQ1_M lies in such bytes: kept finite.
    if (type == TensorType::kIQ1_M && at >= 48 && at % 2 == 1) tensor[i] &= 0xBF;
  }
  return tensor;
}

// Codes and sub-scales of all bits set or clear, activations of -127 and 127 only.
TEST_P(AmxTypes, HoldTheLargestProductsExactly) {
  const int rows = 17;
  const int n = 32;
  const int k = granule() == 32 ? 320 : 512;
  std::vector<float> floats(static_cast<size_t>(rows * k));
  for (size_t i = 0; i < floats.size(); ++i) {
    const size_t row = i / static_cast<size_t>(k);
    floats[i] = row % 3 == 0 ? 1.0f : row % 3 == 1 ? -1.0f : (i % 2 == 0 ? 1.0f : -1.0f);
  }
  for (const int fill : {0x00, 0xFF, 0x7F, 0x80, 0x55, 0xAA}) {
    const PackedTensor w =
        packed(GetParam(), n, k,
               filled_tensor(GetParam(), random_tensor(GetParam(), n, k, random_), fill));
    const Activations x(floats, rows, k, activation_kind(w.matrix.format));
    const std::vector<float> want = product(*table(Isa::kPlain), w.matrix, x.input());
    ASSERT_EQ(first_different(product(amx_table(), w.matrix, x.input()), want), -1) << fill;
  }
}

TEST_P(AmxTypes, SplitLongPromptsIntoTheSameRows) {
  const int rows = 530;  // more than a block holds
  const int n = 80;
  const int k = granule() == 32 ? 128 : 512;
  const PackedTensor w = packed(GetParam(), n, k, random_tensor(GetParam(), n, k, random_));
  const Activations x(random_floats(static_cast<size_t>(rows * k), random_), rows, k,
                      activation_kind(w.matrix.format));
  const std::vector<float> want = product(*table(Isa::kPlain), w.matrix, x.input());
  EXPECT_EQ(first_different(product(amx_table(), w.matrix, x.input()), want), -1);
}

TEST_P(AmxTypes, WriteOnlyTheirPanelsAndAccumulateWhenAsked) {
  const int rows = 19;
  const int n = 75;
  const int k = granule() == 32 ? 64 : 256;
  constexpr size_t kStride = 101;
  const PackedTensor w = packed(GetParam(), n, k, random_tensor(GetParam(), n, k, random_));
  const Activations x(random_floats(static_cast<size_t>(rows * k), random_), rows, k,
                      activation_kind(w.matrix.format));
  const AlignedBytes scratch(kMatmulScratchBytes);
  std::vector<float> got(kStride * rows, 3.5f);
  std::vector<float> want = got;
  for (auto [kernels, y] : {std::pair{&amx_table(), &got}, {table(Isa::kPlain), &want}}) {
    kernels->matmul(w.matrix, x.input(), {y->data(), kStride, 1, 2, false}, scratch.data());
    kernels->matmul(w.matrix, x.input(), {y->data(), kStride, 2, 5, true}, scratch.data());
  }
  EXPECT_EQ(first_different(got, want), -1);
}

TEST_P(AmxTypes, ReadNothingBehindTheirScratchAndWriteNothingThere) {
  const int rows = 33;
  const int n = 16;
  const int k = granule() == 32 ? 64 : 256;
  const PackedTensor w = packed(GetParam(), n, k, random_tensor(GetParam(), n, k, random_));
  const Activations x(random_floats(static_cast<size_t>(rows * k), random_), rows, k,
                      activation_kind(w.matrix.format));
  const AlignedBytes scratch(kMatmulScratchBytes + 4096);
  std::memset(scratch.data(), 0xFE, kMatmulScratchBytes + 4096);  // floats of it are huge
  std::vector<float> y(static_cast<size_t>(rows * n));
  amx_table().matmul(w.matrix, x.input(), {y.data(), static_cast<size_t>(n), 0, 1, false},
                     scratch.data());
  EXPECT_EQ(first_different(y, product(*table(Isa::kPlain), w.matrix, x.input())), -1);
  for (size_t i = 0; i < 4096; ++i)
    ASSERT_EQ(scratch.data()[kMatmulScratchBytes + i], 0xFE);
}

std::string tile_type_name(const testing::TestParamInfo<TensorType>& info) {
  return name_of(info.param);
}
std::vector<TensorType> types_of_tiles() {
  std::vector<TensorType> types;
  for (const TensorType type : kPackedTypes) {
    if (type != TensorType::kF32 && type != TensorType::kF16) types.push_back(type);
  }
  return types;
}
INSTANTIATE_TEST_SUITE_P(Types, AmxTypes, testing::ValuesIn(types_of_tiles()), tile_type_name);

TEST_F(Amx, TableProvesItself) {
  EXPECT_EQ(find_difference(amx_table(), *table(Isa::kPlain)), "");
}

TEST_F(Amx, PeakCountsItsOperations) {
  int32_t sink = 0;
  EXPECT_EQ(amx_table().int8_products(3, &sink), 3u * 4 * 32768);
  // Row 15 of the first tile times column 15 of the other, three times.
  int32_t sum = 0;
  for (int k = 0; k < 64; ++k)
    sum += (15 * 64 + k) % 7 * ((k / 4 * 64 + 60 + k % 4) % 7);
  EXPECT_EQ(sink, 3 * sum);
}

TEST_F(Amx, PeakOfBfloat16CountsItsOperations) {
  float sink = 0.0f;
  EXPECT_EQ(amx_table().bf16_products(3, &sink), 3u * 4 * 16384);
  EXPECT_GT(sink, 0.0f);
}

// What 32 rows by 32 outputs by 256 k cost the tile unit.
struct Cost {
  TensorType type;
  int64_t products, loads, stores;
};
class AmxCost : public Amx, public testing::WithParamInterface<Cost> {};

TEST_P(AmxCost, IsTheLeastItsFormatAllows) {
  if (!is_trapped()) GTEST_SKIP() << "this CPU has AMX, and does not count its instructions";
  std::mt19937 random(5);
  const Cost& cost = GetParam();
  const PackedTensor w = packed(cost.type, 32, 256, random_tensor(cost.type, 32, 256, random));
  const Activations x(random_floats(32 * 256, random), 32, 256, activation_kind(w.matrix.format));
  AmxTrap::machine().reset_counts();
  (void)product(amx_table(), w.matrix, x.input());
  const TileMachine::Counts& counts = AmxTrap::machine().counts();
  EXPECT_EQ(counts.products, cost.products);
  EXPECT_EQ(counts.loads, cost.loads);
  EXPECT_EQ(counts.stores, cost.stores);
  EXPECT_EQ(counts.configures, 1);
  EXPECT_EQ(counts.releases, 1);
  EXPECT_FALSE(AmxTrap::machine().is_in_use()) << "tiles are given back";
}

std::string cost_name(const testing::TestParamInfo<Cost>& info) {
  return name_of(info.param.type);
}

// One byte a weight: 2 x 2 tiles of 4 steps. Two bytes: twice that. Minima: one product more for
// each of 2 x 2 tiles. Three loads come before the first unit, and four sums are stored then, for
// nothing. bfloat16: two bytes, sums stored at the end.
// Groups of 32: a product and a store for each, and
// activations loaded once for both panels.
INSTANTIATE_TEST_SUITE_P(
    Types, AmxCost,
    testing::Values(Cost{TensorType::kQ2_K, 20, 27, 12}, Cost{TensorType::kQ3_K, 16, 19, 8},
                    Cost{TensorType::kQ4_K, 36, 51, 16}, Cost{TensorType::kQ5_K, 36, 51, 16},
                    Cost{TensorType::kQ6_K, 32, 43, 12}, Cost{TensorType::kIQ4_XS, 32, 43, 12},
                    Cost{TensorType::kQ8_0, 32, 40, 32}, Cost{TensorType::kQ4_1, 32, 40, 32},
                    Cost{TensorType::kBF16, 32, 32, 4}),
    cost_name);

TEST_F(Amx, FewRowsUseNoTiles) {
  if (!is_trapped()) GTEST_SKIP() << "this CPU has AMX, and does not count its instructions";
  std::mt19937 random(6);
  const PackedTensor w =
      packed(TensorType::kQ4_K, 16, 256, random_tensor(TensorType::kQ4_K, 16, 256, random));
  for (const int rows : {1, 8, 9}) {
    const Activations x(random_floats(static_cast<size_t>(rows * 256), random), rows, 256,
                        ActivationKind::kBlock256);
    AmxTrap::machine().reset_counts();
    (void)product(amx_table(), w.matrix, x.input());
    EXPECT_EQ(AmxTrap::machine().counts().products > 0, rows == 9) << rows;
  }
}

}  // namespace
}  // namespace inferno::kernel
