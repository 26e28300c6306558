// Packing moves values and changes none: what is unpacked again is what the file holds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernel/formats.h"
#include "kernel/isa/unpack_plain.h"
#include "kernel/matmul_test_data.h"

namespace inferno::kernel {
namespace {

class Pack : public testing::TestWithParam<TensorType> {
 protected:
  TensorType type() const { return GetParam(); }
  int granule() const { return static_cast<int>(block_shape(type()).elements); }
  std::mt19937 random_{99};
};

// What a packed matrix holds, with the roundings that dequantize() has.
class PackedValues {
 public:
  explicit PackedValues(const PackedMatrix& w) : w_(w) {}

  // Element k of output o of a panel.
  float at(int panel, int k, int o) {
    const uint8_t* bytes = w_.data + static_cast<size_t>(panel) * w_.panel_bytes;
    if (w_.format == PackedFormat::kBF16) {
      float value = 0;
      const size_t at = static_cast<size_t>(k / 2 * 64 + o * 4 + k % 2 * 2);
      EXPECT_TRUE(dequantize(TensorType::kBF16, bytes + at, 1, &value));
      return value;
    }
    if (activation_kind(w_.format) == ActivationKind::kFloat) {
      const size_t index = static_cast<size_t>(k) * 16 + static_cast<size_t>(o);
      if (w_.format == PackedFormat::kF32) {
        float value;
        std::memcpy(&value, bytes + index * 4, 4);
        return value;
      }
      float value = 0;
      EXPECT_TRUE(dequantize(TensorType::kF16, bytes + index * 2, 1, &value));
      return value;
    }
    return of_stretch(stretch_of(panel, k / 256), k % 256, o);
  }

 private:
  // Callers go along k: a stretch is unpacked once for its 256 elements.
  const plain::UnpackedStretch& stretch_of(int panel, int index) {
    if (panel != panel_ || index != index_) {
      plain::unpack_stretch(w_, panel, index, &stretch_);
      panel_ = panel;
      index_ = index;
    }
    return stretch_;
  }

  float of_stretch(const plain::UnpackedStretch& stretch, int i, int o) const {
    const float value = stretch.value[i][o];
    if (activation_kind(w_.format) == ActivationKind::kBlock32) {
      const float product = stretch.scale[i / 32][o] * value;
      return w_.has_minimum ? product + stretch.minimum[i / 32][o] : product;
    }
    const int sub = i / stretch.sub_elements;
    const float scale = stretch.scale[0][o] * static_cast<float>(stretch.sub_scale[sub][o]);
    if (!w_.has_minimum) return scale * value;
    const float minimum = stretch.minimum[0][o] * static_cast<float>(stretch.sub_minimum[sub][o]);
    return scale * value - minimum;
  }

  const PackedMatrix& w_;
  plain::UnpackedStretch stretch_;
  int panel_ = -1;
  int index_ = -1;
};

TEST_P(Pack, UnpacksToTheDequantizedTensorToTheLastBit) {
  const int n = 21;
  const int k = granule() == 1 ? 37 : granule() == 32 ? 32 * 11 : 512;
  const std::vector<uint8_t> tensor = random_tensor(type(), n, k, random_);
  std::vector<float> values(static_cast<size_t>(n * k));
  ASSERT_TRUE(dequantize(type(), tensor.data(), values.size(), values.data()));
  const PackedTensor w = packed(type(), n, k, tensor);
  PackedValues packed_values(w.matrix);
  for (int o = 0; o < n; ++o) {
    for (int i = 0; i < k; ++i) {
      const float got = packed_values.at(o / 16, i, o % 16);
      const float want = values[static_cast<size_t>(o * k + i)];
      ASSERT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(want))
          << "output " << o << " k " << i << ": " << got << ", expected " << want;
    }
  }
}

TEST_P(Pack, PanelsPackedApartAreThoseOfTheWhole) {
  const int n = 70;
  const int k = granule() == 1 ? 5 : granule() * 3;
  const std::vector<uint8_t> tensor = random_tensor(type(), n, k, random_);
  const PackedTensor whole = packed(type(), n, k, tensor);
  const size_t bytes = packed_bytes(whole.matrix);
  const AlignedBytes apart(bytes);
  for (const int panel : {3, 0, 4, 2, 1}) {
    pack_panels(type(), tensor.data(), whole.matrix, apart.data(), {panel, panel + 1});
  }
  EXPECT_EQ(0, std::memcmp(apart.data(), whole.bytes.data(), bytes));
}

TEST_P(Pack, OutputsBeyondTheLastAreZero) {
  const int n = 3;
  const int k = granule() == 1 ? 9 : granule();
  const PackedTensor w = packed(type(), n, k, random_tensor(type(), n, k, random_));
  PackedValues values(w.matrix);
  for (int o = n; o < 16; ++o) {
    for (int i = 0; i < k; ++i) {
      ASSERT_EQ(values.at(0, i, o), 0.0f);
    }
  }
}

// Codes of 2 or 4 bits per weight for what files squeeze further.
TEST_P(Pack, TakesLittleMoreRoomThanTheFile) {
  PackedMatrix shape;
  ASSERT_TRUE(packed_shape(type(), 4096, 4096, &shape));
  const BlockShape block = block_shape(type());
  const double file = 4096.0 * 4096.0 / block.elements * block.bytes;
  const double packed_size = static_cast<double>(packed_bytes(shape));
  EXPECT_GE(packed_size, file);
  if (shape.format == PackedFormat::kTernaryK) {
    EXPECT_LE(packed_size, 4096.0 * 4096.0 * 2.2 / 8);
  } else if (shape.codebook != nullptr) {
    EXPECT_LE(packed_size, 4096.0 * 4096.0 * 4.7 / 8);
  } else {
    EXPECT_LE(packed_size, file * 1.06);
  }
  EXPECT_EQ(shape.panel_bytes % 64, 0u);
}

INSTANTIATE_TEST_SUITE_P(Types, Pack, testing::ValuesIn(kPackedTypes),
                         [](const testing::TestParamInfo<TensorType>& test) {
                           return std::string(name_of(test.param));
                         });

TEST(PackedShape, RefusesTypesWithoutAPackingAndRaggedRows) {
  PackedMatrix shape;
  EXPECT_FALSE(packed_shape(TensorType::kI32, 16, 256, &shape));
  EXPECT_FALSE(packed_shape(TensorType::kNVFP4, 16, 256, &shape));
  EXPECT_FALSE(packed_shape(TensorType::kIQ2_XXS, 16, 128, &shape));
  EXPECT_FALSE(packed_shape(TensorType::kQ4_K, 16, 128, &shape));
  EXPECT_FALSE(packed_shape(TensorType::kQ4_0, 16, 48, &shape));
  EXPECT_FALSE(packed_shape(TensorType::kF32, 0, 48, &shape));
  EXPECT_FALSE(packed_shape(static_cast<TensorType>(12345), 16, 256, &shape));
  EXPECT_TRUE(packed_shape(TensorType::kF32, 1, 1, &shape));
}

TEST(PackMxfp4, EveryExponentOfTheFileSurvives) {
  for (int exponent = 0; exponent < 256; ++exponent) {
    std::vector<uint8_t> block(17, 0x21);  // codes 1 and 2: levels 1 and 2, halved
    block[0] = static_cast<uint8_t>(exponent);
    std::vector<float> values(32);
    ASSERT_TRUE(dequantize(TensorType::kMXFP4, block.data(), 32, values.data()));
    if (!std::isfinite(values[0])) continue;
    const PackedTensor w = packed(TensorType::kMXFP4, 1, 32, block);
    PackedValues packed_values(w.matrix);
    EXPECT_EQ(packed_values.at(0, 0, 0), values[0]) << exponent;
    EXPECT_EQ(packed_values.at(0, 31, 0), values[31]) << exponent;
  }
}

TEST(GroupedShape, RefusesWhatHasNoKernel) {
  PackedMatrix shape;
  EXPECT_FALSE(grouped_shape({3, false, false}, 16, 64, &shape));
  EXPECT_FALSE(grouped_shape({8, true, false}, 16, 64, &shape));
  EXPECT_FALSE(grouped_shape({4, true, false}, 16, 48, &shape));
  EXPECT_FALSE(grouped_shape({4, true, false}, 0, 64, &shape));
  EXPECT_TRUE(grouped_shape({4, true, false}, 1, 32, &shape));
}

// Codes, scales and zeros of `n` rows, drawn at random.
struct RandomGroups {
  RandomGroups(const GroupedCodes& what, int n, int k, std::mt19937& random)
      : codes(static_cast<size_t>(n * k)),
        scales(codes.size() / 32),
        zeros(what.has_zeros ? scales.size() : 0) {
    for (uint8_t& code : codes)
      code = static_cast<uint8_t>(random() % (1U << what.bits));
    for (uint16_t& scale : scales) {
      const unsigned sign = random() & 0x8000U;
      const unsigned magnitude = what.scales_are_bf16 ? 0x3C00U + random() % 0x100U  // about 0.01
                                                      : 0x1C00U + random() % 0x800U;
      scale = static_cast<uint16_t>(sign | magnitude);
    }
    for (uint8_t& zero : zeros)
      zero = static_cast<uint8_t>(random() % 129);
  }
  float scale(const GroupedCodes& what, size_t group) const {
    const TensorType type = what.scales_are_bf16 ? TensorType::kBF16 : TensorType::kF16;
    float value = 0.0f;
    EXPECT_TRUE(dequantize(type, reinterpret_cast<const uint8_t*>(&scales[group]), 1, &value));
    return value;
  }
  std::vector<uint8_t> codes;
  std::vector<uint16_t> scales;
  std::vector<uint8_t> zeros;
};

PackedTensor packed_groups(const GroupedCodes& what, int n, int k, const RandomGroups& groups) {
  PackedMatrix shape;
  EXPECT_TRUE(grouped_shape(what, n, k, &shape));
  PackedTensor result = {shape, AlignedBytes(packed_bytes(shape))};
  for (int first = 0; first < n; first += 16) {
    const size_t row = static_cast<size_t>(first);
    const size_t row_groups = static_cast<size_t>(k) / 32;
    const GroupedRows rows = {
        groups.codes.data() + row * static_cast<size_t>(k), groups.scales.data() + row * row_groups,
        groups.zeros.empty() ? nullptr : groups.zeros.data() + row * row_groups,
        std::min(16, n - first)};
    pack_grouped_panel(rows, shape, result.bytes.data() + row / 16 * shape.panel_bytes);
  }
  result.matrix.data = result.bytes.data();
  return result;
}

class PackGroups : public testing::TestWithParam<GroupedCodes> {};

TEST_P(PackGroups, HoldScaleTimesCodeMinusZeroExactly) {
  const GroupedCodes& what = GetParam();
  std::mt19937 random(17);
  for (const int k : {32, 64, 256, 288, 544}) {
    const int n = 21;
    const RandomGroups groups(what, n, k, random);
    const PackedTensor w = packed_groups(what, n, k, groups);
    PackedValues values(w.matrix);
    for (int o = 0; o < n; ++o) {
      for (int i = 0; i < k; ++i) {
        const auto at = static_cast<size_t>(o * k + i);
        const int zero = what.has_zeros ? groups.zeros[at / 32] : what.bits == 4 ? 8 : 128;
        const float scale = groups.scale(what, at / 32);
        ASSERT_EQ(values.at(o / 16, i, o % 16), scale * static_cast<float>(groups.codes[at] - zero))
            << "output " << o << " k " << i << " of " << k;
      }
    }
  }
}

TEST_P(PackGroups, EveryTableGivesTheBitsOfThePlainOne) {
  const GroupedCodes& what = GetParam();
  std::mt19937 random(18);
  for (const int rows : {1, 3, 8, 17, 40}) {
    const int n = 37;
    const int k = 32 * static_cast<int>(1 + random() % 20);
    const PackedTensor w = packed_groups(what, n, k, RandomGroups(what, n, k, random));
    const Activations x(random_floats(static_cast<size_t>(rows * k), random), rows, k,
                        activation_kind(w.matrix.format));
    const std::vector<float> want = product(*table(Isa::kPlain), w.matrix, x.input());
    for (const KernelTable* kernels : fast_tables()) {
      const std::vector<float> got = product(*kernels, w.matrix, x.input());
      ASSERT_EQ(0, std::memcmp(got.data(), want.data(), want.size() * sizeof(float)))
          << name_of(kernels->isa) << " rows " << rows << " k " << k;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Codes, PackGroups,
                         testing::Values(GroupedCodes{4, false, false},
                                         GroupedCodes{4, true, false}, GroupedCodes{4, false, true},
                                         GroupedCodes{4, true, true}, GroupedCodes{8, false, false},
                                         GroupedCodes{8, false, true}),
                         [](const testing::TestParamInfo<GroupedCodes>& test) {
                           return std::string(test.param.bits == 4 ? "Int4" : "Int8") +
                                  (test.param.has_zeros ? "Zeros" : "") +
                                  (test.param.scales_are_bf16 ? "Bf16" : "F16");
                         });

TEST(Pack, AnyBitPatternPacksAndMultiplies) {
  std::mt19937 random(5);
  for (const TensorType type : kPackedTypes) {
    const BlockShape block = block_shape(type);
    const int k = block.elements == 1 ? 32 : static_cast<int>(block.elements);
    std::vector<uint8_t> tensor(17 * static_cast<size_t>(k) / block.elements * block.bytes);
    for (uint8_t& byte : tensor) {
      byte = static_cast<uint8_t>(random());
    }
    const PackedTensor w = packed(type, 17, k, tensor);
    const Activations x(random_floats(static_cast<size_t>(k), random), 1, k,
                        activation_kind(w.matrix.format));
    EXPECT_EQ(product(best_table(), w.matrix, x.input()).size(), 17u) << name_of(type);
  }
}

}  // namespace
}  // namespace inferno::kernel
