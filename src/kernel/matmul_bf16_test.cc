// Products with bfloat16 weights: the sequence of roundings that kernels.h states, on every table.
#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "kernel/amx_trap.h"
#include "kernel/matmul_test_data.h"
#include "kernel/test_tables.h"

// Names of this file's own for the wrappers of tile instructions.
#define INFERNO_ISA matmul_bf16_test
#include "kernel/isa/amx_tiles.h"
#undef INFERNO_ISA

namespace inferno::kernel {
namespace {

// Denormals as zeros for the time of a computation.
class Flushing {
 public:
  Flushing() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~Flushing() { _mm_setcsr(before_); }

 private:
  unsigned before_;
};

// y[row, output] as kernels.h defines it; each step through memory, where no compiler combines two.
float defined_product(const RoundedRows& x, int row, const std::vector<uint16_t>& w, int output) {
  const Flushing scope;
  volatile float t = 0.0f;
  for (int block = 0; block < x.k; block += 32) {
    volatile float chain[2] = {0.0f, 0.0f};
    for (int k = block; k < std::min(block + 32, x.k); ++k) {
      const size_t at =
          static_cast<size_t>(output) * static_cast<size_t>(x.k) + static_cast<size_t>(k);
      const float before = chain[k % 2];
      chain[k % 2] = std::fma(rounded_value(x, row, k), float_of_bf16(w[at]), before);
    }
    volatile float both = chain[0] + chain[1];
    t = t + both;
  }
  return t;
}

std::vector<uint8_t> bytes_of(const std::vector<uint16_t>& values) {
  std::vector<uint8_t> bytes(values.size() * 2);
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// Values whose products are denormal, overflow, or are no numbers.
enum class Values { kNormal, kMixed, kTiny, kSpecial };

class MatmulBf16 : public testing::TestWithParam<Values> {
 protected:
  float value() {
    const float normal = std::normal_distribution<float>()(random_);
    switch (GetParam()) {
      case Values::kNormal:
        return normal;
      case Values::kMixed:
        return std::ldexp(normal, static_cast<int>(random_() % 60) - 30);
      case Values::kTiny:
        return std::ldexp(normal, -66 + static_cast<int>(random_() % 8));
      case Values::kSpecial:
        break;
    }
    constexpr float kLarge = 3e38f;
    const float specials[] = {INFINITY, -INFINITY, NAN,  kLarge, -kLarge,
                              1e-40f,   -1e-40f,   0.0f, -0.0f,  1e-30f};
    return random_() % 40 == 0 ? specials[random_() % std::size(specials)] : normal;
  }
  std::mt19937 random_{5};
};

TEST_P(MatmulBf16, EveryTableDoesWhatTheDefinitionSays) {
  for (const auto& [rows, n, k] : {std::tuple{1, 37, 100},
                                   {2, 16, 64},
                                   {3, 48, 33},
                                   {4, 20, 31},
                                   {7, 33, 545},
                                   {17, 31, 96},
                                   {33, 40, 1056},
                                   {49, 17, 1}}) {
    std::vector<uint16_t> w(static_cast<size_t>(n * k));
    std::vector<float> floats(static_cast<size_t>(rows * k));
    for (float& x : floats)
      x = value();
    for (uint16_t& weight : w) {
      const float x = value();
      uint32_t bits;
      std::memcpy(&bits, &x, 4);
      weight = static_cast<uint16_t>(bits >> 16);
    }
    const PackedTensor matrix = packed(TensorType::kBF16, n, k, bytes_of(w));
    const Activations x(floats, rows, k, ActivationKind::kRounded);
    std::vector<float> want(static_cast<size_t>(rows * n));
    for (int row = 0; row < rows; ++row) {
      for (int o = 0; o < n; ++o)
        want[static_cast<size_t>(row * n + o)] = defined_product(*x.input().rounded, row, w, o);
    }
    for (const KernelTable* kernels : tables_of_this_cpu()) {
      const unsigned before = _mm_getcsr() & ~0x3Fu;
      EXPECT_EQ(first_difference(product(*kernels, matrix.matrix, x.input()), want), -1)
          << name_of(kernels->isa) << " rows " << rows << " n " << n << " k " << k;
      EXPECT_EQ(_mm_getcsr() & ~0x3Fu, before) << "the caller's rounding is as it was";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Values, MatmulBf16,
                         testing::Values(Values::kNormal, Values::kMixed, Values::kTiny,
                                         Values::kSpecial));

// The model of the tiles, which stands in where there is no AMX, against the processor.
TEST(TileMachine, MultipliesBfloat16AsTheProcessorDoes) {
  if (table(Isa::kAmx) == nullptr) GTEST_SKIP() << "this CPU has no AMX";
  namespace tiles = matmul_bf16_test;
  std::mt19937 random(3);
  TileMachine machine;
  ASSERT_EQ(machine.configure(reinterpret_cast<const uint8_t*>(&tiles::kTilesOf64)), nullptr);
  alignas(64) uint16_t a[16][32], b[16][32];
  alignas(64) float native[16][16], model[16][16];
  for (int round = 0; round < 200; ++round) {
    // Exponents around 1, around the root of the least normal, or any bits at all.
    const auto element = [&] {
      const auto bits = static_cast<uint16_t>(random());
      if (round % 3 == 2) return bits;
      const int exponent = round % 3 == 0 ? 0x3E : 0x1F;
      return static_cast<uint16_t>((bits & 0x81FF) | exponent << 8);
    };
    for (int i = 0; i < 512; ++i) {
      a[i / 32][i % 32] = element();
      b[i / 32][i % 32] = element();
    }
    tiles::configure_tiles(tiles::kTilesOf64);
    tiles::zero_tile<0>();
    tiles::load_tile<4, 1024>(a);
    tiles::load_tile<6, 1024>(b);
    tiles::add_bf16_products<0, 4, 6>();
    tiles::add_bf16_products<0, 4, 6>();
    tiles::store_float_sums<0>(native);
    tiles::release_tiles();
    machine.zero(0);
    machine.load(4, reinterpret_cast<const uint8_t*>(a), 64);
    machine.load(6, reinterpret_cast<const uint8_t*>(b), 64);
    for (int i = 0; i < 2; ++i)
      ASSERT_EQ(machine.multiply_bf16({0, 4, 6, true, true}), nullptr);
    machine.store(0, reinterpret_cast<uint8_t*>(model), 64);
    ASSERT_EQ(first_difference({native[0], 256}, {model[0], 256}), -1) << round;
  }
}

}  // namespace
}  // namespace inferno::kernel
