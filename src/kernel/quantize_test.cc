// Quantizing activations: what the numbers mean, and that every table gives the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernel/matmul_test_data.h"

namespace inferno::kernel {
namespace {

TEST(QuantizeRows, EveryTableGivesTheBitsOfThePlainOne) {
  std::mt19937 random(7);
  for (const int block : {32, 256}) {
    const int rows = 5;
    const int k = 1024;
    std::vector<float> x = random_floats(static_cast<size_t>(rows * k), random);
    x[3] = 1e30f;
    x[700] = INFINITY;
    x[1300] = NAN;
    std::fill_n(x.begin() + 2048, 256, 0.0f);
    std::fill_n(x.begin() + 3072, 256, 1e-38f);
    const ActivationKind kind = block == 32 ? ActivationKind::kBlock32 : ActivationKind::kBlock256;
    Activations want(x, rows, k, kind);
    for (const KernelTable* kernels : fast_tables()) {
      Activations got(x, rows, k, kind);
      QuantizedRows& q = got.quantized();
      std::fill_n(q.q, rows * k, int8_t{99});
      std::fill_n(q.sum, rows * k / 16, int16_t{99});
      std::fill_n(q.scale, rows * k / block, 99.0f);
      kernels->quantize_rows(x.data(), static_cast<size_t>(k), 1, rows, q);
      kernels->quantize_rows(x.data(), static_cast<size_t>(k), 0, 1, q);
      const QuantizedRows& w = want.quantized();
      EXPECT_EQ(0, std::memcmp(q.q, w.q, static_cast<size_t>(rows * k)));
      EXPECT_EQ(0, std::memcmp(q.sum, w.sum, static_cast<size_t>(rows * k / 16 * 2)));
      EXPECT_EQ(0, std::memcmp(q.scale, w.scale, static_cast<size_t>(rows * k / block * 4)));
    }
  }
}

TEST(QuantizeRows, RoundsToTheNearestOf127StepsAndSumsThem) {
  std::mt19937 random(8);
  const int k = 512;
  const std::vector<float> x = random_floats(k, random);
  Activations activations(x, 1, k, ActivationKind::kBlock32);
  const QuantizedRows& q = activations.quantized();
  for (size_t i = 0; i < k; ++i) {
    const float scale = q.scale[i / 32];
    EXPECT_NEAR(x[i], scale * static_cast<float>(q.q[i]), scale * 0.5001f);
    EXPECT_LE(std::abs(q.q[i]), 127);
  }
  for (size_t block = 0; block < k / 32; ++block) {
    int largest = 0;
    int sum = 0;
    for (size_t i = block * 32; i < block * 32 + 32; ++i) {
      largest = std::max(largest, std::abs(int{q.q[i]}));
      sum += q.q[i];
    }
    EXPECT_EQ(largest, 127);
    EXPECT_EQ(sum, q.sum[2 * block] + q.sum[2 * block + 1]);
  }
}

TEST(QuantizeRows, ABlockThatIsZeroTinyOrNotFiniteBecomesZeros) {
  for (const float value : {0.0f, 1e-38f, INFINITY, -INFINITY, NAN}) {
    std::vector<float> x(64, value == value && std::isfinite(value) ? value : 1.0f);
    x[5] = value;
    std::fill_n(x.begin() + 32, 32, 2.0f);
    Activations activations(x, 1, 64, ActivationKind::kBlock32);
    const QuantizedRows& q = activations.quantized();
    EXPECT_EQ(q.scale[0], 0.0f);
    EXPECT_EQ(q.sum[0], 0);
    EXPECT_EQ(q.q[0], 0);
    EXPECT_EQ(q.q[32], 127);
    EXPECT_EQ(q.sum[3], 127 * 16);
  }
}

}  // namespace
}  // namespace inferno::kernel
