// Every table against the plain one, bit for bit; the plain one against double precision.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "kernel/matmul_test_data.h"

namespace inferno::kernel {
namespace {

class Matmul : public testing::TestWithParam<TensorType> {
 protected:
  TensorType type() const { return GetParam(); }
  int granule() const { return static_cast<int>(block_shape(type()).elements); }
  std::mt19937 random_{20240611};
};

// Floats compared as bits: -0 differs from 0, and NaN equals itself.
void expect_same_bits(const std::vector<float>& got, const std::vector<float>& want,
                      const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    uint32_t a, b;
    std::memcpy(&a, &got[i], 4);
    std::memcpy(&b, &want[i], 4);
    ASSERT_EQ(a, b) << what << ": element " << i << " is " << got[i] << ", expected " << want[i];
  }
}

std::string describe(const KernelTable& kernels, int rows, int n, int k) {
  return std::string(name_of(kernels.isa)) + " rows " + std::to_string(rows) + " n " +
         std::to_string(n) + " k " + std::to_string(k);
}

TEST_P(Matmul, EveryTableGivesTheBitsOfThePlainOne) {
  constexpr int kRows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 17, 23, 24, 31, 64, 130};
  constexpr int kOutputs[] = {1, 7, 16, 17, 31, 32, 33, 48, 65, 80, 130};
  for (const int rows : kRows) {
    const int n = kOutputs[random_() % std::size(kOutputs)];
    const int most = granule() == 256 ? 4 : granule() == 32 ? 21 : 300;
    const int k = granule() * static_cast<int>(1 + random_() % static_cast<unsigned>(most));
    const PackedTensor w = packed(type(), n, k, random_tensor(type(), n, k, random_));
    const Activations x(random_floats(static_cast<size_t>(rows * k), random_), rows, k,
                        activation_kind(w.matrix.format));
    const std::vector<float> want = product(*table(Isa::kPlain), w.matrix, x.input());
    for (const KernelTable* kernels : fast_tables()) {
      expect_same_bits(product(*kernels, w.matrix, x.input()), want,
                       describe(*kernels, rows, n, k));
    }
  }
}

TEST_P(Matmul, ARowOfABatchIsTheRowAlone) {
  const int rows = 27;
  const int n = 70;
  const int k = granule() == 1 ? 333 : granule() * (granule() == 32 ? 11 : 2);
  const PackedTensor w = packed(type(), n, k, random_tensor(type(), n, k, random_));
  const std::vector<float> floats = random_floats(static_cast<size_t>(rows * k), random_);
  const ActivationKind kind = activation_kind(w.matrix.format);
  const Activations x(floats, rows, k, kind);
  for (const Isa isa : kIsas) {
    const KernelTable* kernels = table(isa);
    if (kernels == nullptr) continue;
    const std::vector<float> batch = product(*kernels, w.matrix, x.input());
    for (int row = 0; row < rows; ++row) {
      const auto begin = floats.begin() + row * k;
      const Activations alone({begin, begin + k}, 1, k, kind);
      const auto y = batch.begin() + row * n;
      expect_same_bits({y, y + n}, product(*kernels, w.matrix, alone.input()),
                       describe(*kernels, row, n, k));
    }
  }
}

TEST_P(Matmul, FetchesAheadWithoutChangingABit) {
  const int n = 70;
  const int k = granule() == 1 ? 333 : granule() * (granule() == 32 ? 11 : 2);
  const PackedTensor w = packed(type(), n, k, random_tensor(type(), n, k, random_));
  for (const int rows : {1, 3, 8}) {
    const Activations x(random_floats(static_cast<size_t>(rows * k), random_), rows, k,
                        activation_kind(w.matrix.format));
    const std::vector<float> want = product(*table(Isa::kPlain), w.matrix, x.input());
    for (const KernelTable* kernels : fast_tables()) {
      for (const int distance : {0, 512, 1536, 3072, 1 << 20}) {
        MatmulInput input = x.input();
        input.prefetch_bytes = distance;
        expect_same_bits(product(*kernels, w.matrix, input), want, describe(*kernels, rows, n, k));
      }
    }
  }
}

TEST_P(Matmul, MoreRowsThanABlockHoldsAreTheSameRows) {
  const int rows = 700;
  const int n = 33;
  const int k = granule() == 1 ? 96 : granule() == 32 ? 96 : 256;
  const PackedTensor w = packed(type(), n, k, random_tensor(type(), n, k, random_));
  const Activations x(random_floats(static_cast<size_t>(rows * k), random_), rows, k,
                      activation_kind(w.matrix.format));
  const std::vector<float> want = product(*table(Isa::kPlain), w.matrix, x.input());
  for (const KernelTable* kernels : fast_tables()) {
    expect_same_bits(product(*kernels, w.matrix, x.input()), want, describe(*kernels, rows, n, k));
  }
}

TEST_P(Matmul, WritesOnlyItsPanelsAndAccumulatesWhenAsked) {
  const int n = 75;
  const int k = granule() == 1 ? 40 : granule();
  const size_t stride = 101;
  const PackedTensor w = packed(type(), n, k, random_tensor(type(), n, k, random_));
  const AlignedBytes scratch(kMatmulScratchBytes);
  for (const int rows : {1, 2, 5, 9}) {
    const Activations x(random_floats(static_cast<size_t>(rows * k), random_), rows, k,
                        activation_kind(w.matrix.format));
    const std::vector<float> whole = product(*table(Isa::kPlain), w.matrix, x.input());
    for (const Isa isa : kIsas) {
      if (table(isa) == nullptr) continue;
      std::vector<float> y(stride * static_cast<size_t>(rows), 3.5f);
      table(isa)->matmul(w.matrix, x.input(), {y.data(), stride, 1, 2, false}, scratch.data());
      table(isa)->matmul(w.matrix, x.input(), {y.data(), stride, 2, 5, true}, scratch.data());
      std::vector<float> want(y.size(), 3.5f);
      for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
        for (size_t o = 16; o < 75; ++o) {
          const float value = whole[row * 75 + o];
          want[row * stride + o] = o < 32 ? value : 3.5f + value;
        }
      }
      expect_same_bits(y, want, describe(*table(isa), rows, n, k));
    }
  }
}

// The activations that the kernel sees, as numbers.
double activation(const Activations& x, size_t row, size_t k) {
  const MatmulInput in = x.input();
  const QuantizedRows& q = *in.quantized;
  const size_t width = static_cast<size_t>(q.k);
  if (x.is_rounded()) return rounded_value(*in.rounded, static_cast<int>(row), static_cast<int>(k));
  if (q.q == nullptr) return in.floats[row * width + k];
  const size_t block = static_cast<size_t>(q.block);
  return static_cast<double>(q.q[row * width + k]) *
         static_cast<double>(q.scale[row * (width / block) + k / block]);
}

TEST_P(Matmul, AgreesWithDoublePrecisionOfTheDequantizedTensor) {
  const int rows = 3;
  const int n = 37;
  const int k = granule() == 1 ? 517 : granule() * (granule() == 32 ? 19 : 3);
  const std::vector<uint8_t> tensor = random_tensor(type(), n, k, random_);
  std::vector<float> values(static_cast<size_t>(n * k));
  ASSERT_TRUE(dequantize(type(), tensor.data(), values.size(), values.data()));
  const PackedTensor w = packed(type(), n, k, tensor);
  const Activations x(random_floats(static_cast<size_t>(rows * k), random_), rows, k,
                      activation_kind(w.matrix.format));
  const std::vector<float> y = product(*table(Isa::kPlain), w.matrix, x.input());
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    for (size_t o = 0; o < static_cast<size_t>(n); ++o) {
      double sum = 0;
      double size = 0;
      for (size_t i = 0; i < static_cast<size_t>(k); ++i) {
        const double term = activation(x, row, i) * values[o * static_cast<size_t>(k) + i];
        sum += term;
        size += std::fabs(term);
      }
      // One rounding of 2^-24 per fma, of partial sums no larger than `size`; a minimum is rounded
      // apart.
      ASSERT_NEAR(y[row * static_cast<size_t>(n) + o], sum, size * 4e-6) << row << ", " << o;
    }
  }
}

TEST_P(Matmul, LargestCodesAndActivationsDoNotOverflow) {
  const int rows = 9;
  const int n = 32;
  const int k = granule() == 1 ? 64 : granule() == 32 ? 288 : 512;
  for (const int fill : {0x00, 0xFF, 0x7F, 0x80}) {
    std::vector<uint8_t> tensor = random_tensor(type(), n, k, random_);
    const BlockShape block = block_shape(type());
    const std::vector<size_t> offsets = f16_offsets(type());
    for (size_t i = 0; granule() > 1 && i < tensor.size(); ++i) {
      const size_t at = i % block.bytes;
      bool is_scale = type() == TensorType::kMXFP4 && at == 0;
      for (const size_t offset : offsets) {
        is_scale = is_scale || at == offset || at == offset + 1;
      }
      if (!is_scale) tensor[i] = static_cast<uint8_t>(fill);
    }
    const PackedTensor w = packed(type(), n, k, tensor);
    std::vector<float> floats(static_cast<size_t>(rows * k));
    for (size_t i = 0; i < floats.size(); ++i) {
      const size_t row = i / static_cast<size_t>(k);
      floats[i] = row % 3 == 0 ? 1.0f : row % 3 == 1 ? -1.0f : (i % 2 == 0 ? 1.0f : -1.0f);
    }
    const Activations x(floats, rows, k, activation_kind(w.matrix.format));
    const std::vector<float> want = product(*table(Isa::kPlain), w.matrix, x.input());
    for (const KernelTable* kernels : fast_tables()) {
      expect_same_bits(product(*kernels, w.matrix, x.input()), want,
                       describe(*kernels, rows, n, fill));
    }
  }
}

std::string type_name(const testing::TestParamInfo<TensorType>& info) {
  return name_of(info.param);
}
INSTANTIATE_TEST_SUITE_P(Types, Matmul, testing::ValuesIn(kPackedTypes), type_name);

}  // namespace
}  // namespace inferno::kernel
