#include "model/matrix_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "kernel/encode.h"
#include "kernel/matmul_test_data.h"

namespace inferno::model {
namespace {

using kernel::TensorType;
using ::testing::HasSubstr;

// A tensor [n, k] of random values.
struct RandomTensor {
  RandomTensor(TensorType type, int n, int k) {
    std::mt19937 random(4);
    bytes = kernel::random_tensor(type, n, k, random);
    tensor = {
        .name = "w", .type = type, .shape = {n, k}, .data = bytes.data(), .bytes = bytes.size()};
  }
  std::vector<uint8_t> bytes;
  Tensor tensor;
};

std::vector<uint8_t> packed_bytes_of(const MatrixSource& source) {
  const kernel::AlignedBytes data(kernel::packed_bytes(source.shape()));
  source.pack({0, (source.shape().n + 15) / 16}, data.data());
  return {data.data(), data.data() + kernel::packed_bytes(source.shape())};
}

TEST(TensorMatrix, PacksAndReadsTheTensorAsItIs) {
  const RandomTensor random(TensorType::kQ5_K, 21, 512);
  const auto source = tensor_matrix(random.tensor, "file");
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_TRUE((*source)->is_quantized());
  const kernel::PackedTensor want = kernel::packed(TensorType::kQ5_K, 21, 512, random.bytes);
  const std::vector<uint8_t> got = packed_bytes_of(**source);
  EXPECT_EQ(0, std::memcmp(got.data(), want.bytes.data(), got.size()));
  std::vector<float> rows(2 * 512), all(21 * 512);
  (*source)->read({5, 2}, rows.data());
  ASSERT_TRUE(kernel::dequantize(TensorType::kQ5_K, random.bytes.data(), all.size(), all.data()));
  EXPECT_TRUE(std::equal(rows.begin(), rows.end(), all.begin() + 5 * 512));
  const auto bytes = (*source)->bytes_of({5, 2});
  ASSERT_EQ(bytes.size(), 1u);
  EXPECT_EQ(bytes[0].data(), random.bytes.data() + 5 * 352);
  EXPECT_EQ(bytes[0].size(), 2u * 352);
}

TEST(TensorMatrix, TypesWithoutAKernelBecomeFloats) {
  const RandomTensor random(TensorType::kF64, 18, 5);
  const auto source = tensor_matrix(random.tensor, "file");
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_EQ((*source)->shape().format, kernel::PackedFormat::kF32);
  std::vector<float> values(18 * 5);
  (*source)->read({0, 18}, values.data());
  const std::vector<uint8_t> packed = packed_bytes_of(**source);
  for (size_t o = 0; o < 18; ++o) {
    for (size_t i = 0; i < 5; ++i) {
      float value;
      std::memcpy(&value,
                  packed.data() + o / 16 * (*source)->shape().panel_bytes + (i * 16 + o % 16) * 4,
                  4);
      EXPECT_EQ(0, std::memcmp(&value, &values[o * 5 + i], 4));
    }
  }
}

TEST(TensorMatrix, RefusesWhatHasNoFloatMeaningOrIsNoMatrix) {
  EXPECT_THAT(tensor_matrix(RandomTensor(TensorType::kI32, 4, 4).tensor, "file").error().message,
              HasSubstr("file: tensor w has type I32"));
  Tensor vector = RandomTensor(TensorType::kF32, 4, 4).tensor;
  vector.shape = {16};
  EXPECT_FALSE(tensor_matrix(vector, "file"));
}

TEST(QuantizedMatrix, PacksTheEncodedRows) {
  const RandomTensor random(TensorType::kF32, 37, 256);
  for (const TensorType type : {TensorType::kQ8_0, TensorType::kQ4_1, TensorType::kQ4_K}) {
    auto plain = tensor_matrix(random.tensor, "file");
    ASSERT_TRUE(plain);
    EXPECT_FALSE((*plain)->is_quantized());
    const auto source = quantized_matrix(std::move(*plain), type);
    EXPECT_TRUE(source->is_quantized());
    const kernel::BlockShape block = kernel::block_shape(type);
    std::vector<uint8_t> blocks(37u * 256 / block.elements * block.bytes);
    ASSERT_TRUE(kernel::encode(type, reinterpret_cast<const float*>(random.bytes.data()),
                               size_t{37} * 256, blocks.data()));
    const kernel::PackedTensor want = kernel::packed(type, 37, 256, blocks);
    const std::vector<uint8_t> got = packed_bytes_of(*source);
    ASSERT_EQ(got.size(), kernel::packed_bytes(want.matrix));
    EXPECT_EQ(0, std::memcmp(got.data(), want.bytes.data(), got.size()));
  }
}

}  // namespace
}  // namespace inferno::model
