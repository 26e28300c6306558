// Row kernels: every table against the plain one to the bit, the plain one against double
// precision.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernel/test_tables.h"

namespace inferno::kernel {
namespace {

std::vector<float> random_row(int count, unsigned seed, float spread = 3.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> row(static_cast<size_t>(count));
  for (float& x : row)
    x = normal(generator);
  return row;
}

std::vector<int> widths() {
  std::vector<int> all;
  for (int n = 1; n <= 130; n++)
    all.push_back(n);
  for (int n : {255, 256, 257, 576, 1000, 4096, 4099})
    all.push_back(n);
  return all;
}

// Applies `change` to a copy of `row` that stands between guards, and checks the guards.
template <typename Change>
std::vector<float> changed(const std::vector<float>& row, Change change) {
  constexpr float kGuard = 12345.0f;
  std::vector<float> framed(row.size() + 32, kGuard);
  std::copy(row.begin(), row.end(), framed.begin() + 16);
  change(framed.data() + 16);
  for (size_t i = 0; i < 16; i++) {
    EXPECT_EQ(framed[i], kGuard);
    EXPECT_EQ(framed[16 + row.size() + i], kGuard);
  }
  return {framed.begin() + 16, framed.begin() + 16 + static_cast<ptrdiff_t>(row.size())};
}

// Relative error, or absolute error where the expected value is below `floor`.
double error_of(double got, double expected, double floor) {
  return std::abs(got - expected) / std::max(std::abs(expected), floor);
}

TEST(RmsNorm, IsTheSameInEveryTable) {
  for (int n : widths()) {
    const auto x = random_row(n, static_cast<unsigned>(n));
    const auto weight = random_row(n, static_cast<unsigned>(n) + 1000);
    const auto norm_by = [&](const KernelTable& t) {
      return changed(x, [&](float* y) { t.rms_norm(x.data(), weight.data(), 1e-5f, n, y); });
    };
    const auto expected = norm_by(*table(Isa::kPlain));
    for (const KernelTable* t : tables_of_this_cpu()) {
      EXPECT_EQ(first_difference(norm_by(*t), expected), -1) << name_of(t->isa) << " width " << n;
    }
  }
}

TEST(RmsNorm, AgreesWithDoublePrecision) {
  for (int n : widths()) {
    const auto x = random_row(n, static_cast<unsigned>(n));
    const auto weight = random_row(n, static_cast<unsigned>(n) + 1000);
    std::vector<float> out(x.size());
    best_table().rms_norm(x.data(), weight.data(), 1e-5f, n, out.data());
    double squares = 0;
    for (float v : x)
      squares += static_cast<double>(v) * v;
    const double root = std::sqrt(squares / n + 1e-5);
    for (size_t i = 0; i < x.size(); i++) {
      ASSERT_LT(error_of(out[i], x[i] / root * weight[i], 1e-6), 2e-6) << "width " << n;
    }
  }
}

TEST(RmsNorm, WorksInPlace) {
  const auto x = random_row(77, 5);
  const auto weight = random_row(77, 6);
  std::vector<float> apart(77);
  for (const KernelTable* t : tables_of_this_cpu()) {
    t->rms_norm(x.data(), weight.data(), 1e-6f, 77, apart.data());
    auto in_place = x;
    t->rms_norm(in_place.data(), weight.data(), 1e-6f, 77, in_place.data());
    EXPECT_EQ(first_difference(in_place, apart), -1);
  }
}

TEST(RmsNorm, OfZerosIsZero) {
  const std::vector<float> zeros(40, 0.0f);
  const auto weight = random_row(40, 1);
  for (const KernelTable* t : tables_of_this_cpu()) {
    auto out = random_row(40, 2);
    t->rms_norm(zeros.data(), weight.data(), 1e-5f, 40, out.data());
    for (float v : out)
      EXPECT_EQ(v, 0.0f);
  }
}

struct Angles {
  std::vector<float> cos, sin;
};

Angles angles_at(int position, int rotary_width) {
  Angles a;
  for (int i = 0; i < rotary_width / 2; i++) {
    const double angle = position * std::pow(10000.0, -2.0 * i / rotary_width);
    a.cos.push_back(static_cast<float>(std::cos(angle)));
    a.sin.push_back(static_cast<float>(std::sin(angle)));
  }
  return a;
}

TEST(Rope, TurnsPairsByTheirAngle) {
  for (int width = 2; width <= 260; width += 2) {
    const auto x = random_row(width, static_cast<unsigned>(width));
    const Angles a = angles_at(17, width);
    for (const KernelTable* t : tables_of_this_cpu()) {
      const auto interleaved =
          changed(x, [&](float* y) { t->rope_interleaved(y, a.cos.data(), a.sin.data(), width); });
      const auto neox =
          changed(x, [&](float* y) { t->rope_neox(y, a.cos.data(), a.sin.data(), width); });
      const size_t half = static_cast<size_t>(width) / 2;
      for (size_t i = 0; i < half; i++) {
        const double c = a.cos[i], s = a.sin[i];
        ASSERT_NEAR(interleaved[2 * i], x[2 * i] * c - x[2 * i + 1] * s, 2e-6);
        ASSERT_NEAR(interleaved[2 * i + 1], x[2 * i + 1] * c + x[2 * i] * s, 2e-6);
        ASSERT_NEAR(neox[i], x[i] * c - x[i + half] * s, 2e-6);
        ASSERT_NEAR(neox[i + half], x[i + half] * c + x[i] * s, 2e-6);
      }
    }
  }
}

TEST(Rope, IsTheSameInEveryTable) {
  for (int width = 2; width <= 260; width += 2) {
    const auto x = random_row(width, static_cast<unsigned>(width));
    const Angles a = angles_at(12345, width);
    const auto turn_by = [&](auto function) {
      return changed(x, [&](float* y) { function(y, a.cos.data(), a.sin.data(), width); });
    };
    const KernelTable& plain = *table(Isa::kPlain);
    for (const KernelTable* t : tables_of_this_cpu()) {
      EXPECT_EQ(first_difference(turn_by(t->rope_neox), turn_by(plain.rope_neox)), -1);
      EXPECT_EQ(first_difference(turn_by(t->rope_interleaved), turn_by(plain.rope_interleaved)),
                -1);
    }
  }
}

// One row through each elementwise function of a table, one after the other.
std::vector<std::vector<float>> through_all(const KernelTable& t, const std::vector<float>& x,
                                            const std::vector<float>& other) {
  const int n = static_cast<int>(x.size());
  return {
      changed(x, [&](float* y) { t.add(y, other.data(), n); }),
      changed(x, [&](float* y) { t.multiply_scalar(y, 0.3f, n); }),
      changed(x, [&](float* y) { t.silu_multiply(y, other.data(), n); }),
      changed(x, [&](float* y) { t.gelu_tanh_multiply(y, other.data(), n); }),
      changed(x, [&](float* y) { t.softcap(y, 30.0f, n); }),
      changed(x, [&](float* y) { t.clamped_swiglu(y, other.data(), n, {1.702f, 4.0f}); }),
  };
}

TEST(Elementwise, IsTheSameInEveryTable) {
  for (int n : widths()) {
    auto x = random_row(n, static_cast<unsigned>(n), 20.0f);
    x[x.size() / 2] = n % 3 == 0 ? kInfinity : n % 3 == 1 ? -kInfinity : kNan;
    const auto other = random_row(n, static_cast<unsigned>(n) + 1);
    const auto expected = through_all(*table(Isa::kPlain), x, other);
    for (const KernelTable* t : tables_of_this_cpu()) {
      const auto got = through_all(*t, x, other);
      for (size_t f = 0; f < got.size(); f++) {
        EXPECT_EQ(first_difference(got[f], expected[f]), -1)
            << name_of(t->isa) << " function " << f << " width " << n;
      }
    }
  }
}

TEST(Elementwise, DoesNotDependOnWhereAnElementStands) {
  const auto x = random_row(100, 3, 10.0f);
  const auto other = random_row(100, 4);
  const auto whole = through_all(best_table(), x, other);
  for (size_t i = 0; i < x.size(); i++) {
    const auto alone = through_all(best_table(), {x[i]}, {other[i]});
    for (size_t f = 0; f < whole.size(); f++) {
      ASSERT_EQ(first_difference(alone[f], {&whole[f][i], 1}), -1) << "function " << f;
    }
  }
}

TEST(Elementwise, AgreesWithDoublePrecision) {
  const auto x = random_row(5000, 7, 12.0f);
  const auto other = random_row(5000, 8);
  for (const KernelTable* t : tables_of_this_cpu()) {
    const auto got = through_all(*t, x, other);
    for (size_t i = 0; i < x.size(); i++) {
      const double a = x[i], b = other[i];
      const double inner = std::sqrt(2 / M_PI) * (a + 0.044715 * a * a * a);
      ASSERT_LT(error_of(got[0][i], a + b, 1.0), 1e-6);
      ASSERT_LT(error_of(got[1][i], a * static_cast<double>(0.3f), 1e-6), 1e-6);
      ASSERT_LT(error_of(got[2][i], a / (1 + std::exp(-a)) * b, 1e-3), 2e-6);
      ASSERT_LT(error_of(got[3][i], a / 2 * (1 + std::tanh(inner)) * b, 0.01), 2e-6) << a;
      ASSERT_LT(error_of(got[4][i], 30 * std::tanh(a / 30), 1e-6), 2e-6);
      const double gate = std::min(a, 4.0), up = std::clamp(b, -4.0, 4.0) + 1;
      const double slope = static_cast<double>(1.702f);
      ASSERT_LT(error_of(got[5][i], gate / (1 + std::exp(-slope * gate)) * up, 1e-2), 3e-6) << a;
    }
  }
}

TEST(ClampedSwiglu, CutsTheGateAboveAndUpOnBothSides) {
  const std::vector<float> gate = {5.0f, 2.0f, -50.0f, kInfinity, 2.0f, 2.0f, kNan, 2.0f};
  const std::vector<float> up = {0.0f, 9.0f, 0.0f, 0.0f, -9.0f, -kInfinity, 0.0f, kNan};
  constexpr ClampedSwiglu kRule = {.alpha = 1.5f, .limit = 2.0f};
  const double at_limit = 2.0 / (1.0 + std::exp(-3.0));
  for (const KernelTable* t : tables_of_this_cpu()) {
    const auto got = changed(gate, [&](float* y) { t->clamped_swiglu(y, up.data(), 8, kRule); });
    const std::vector<double> expected = {at_limit, 3 * at_limit, 0.0,
                                          at_limit, -at_limit,    -at_limit};
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(got[i], expected[i], 1e-6) << name_of(t->isa) << " element " << i;
    EXPECT_TRUE(std::isnan(got[6]) && std::isnan(got[7])) << name_of(t->isa);
  }
}

struct Largest {
  int index = -7;
  float value = 0.0f;
};

Largest largest_by(const KernelTable& t, const std::vector<float>& x) {
  Largest found;
  t.argmax(x.data(), static_cast<int>(x.size()), &found.index, &found.value);
  return found;
}

TEST(Argmax, FindsTheFirstOfTheLargest) {
  std::mt19937 generator(11);
  for (int n : widths()) {
    for (int distinct : {1, 2, 5, 1000000}) {
      std::vector<float> x(static_cast<size_t>(n));
      for (float& v : x)
        v = static_cast<float>(generator() % static_cast<unsigned>(distinct)) - 3;
      int expected = 0;
      for (int i = 1; i < n; i++) {
        if (x[static_cast<size_t>(i)] > x[static_cast<size_t>(expected)]) expected = i;
      }
      for (const KernelTable* t : tables_of_this_cpu()) {
        const Largest found = largest_by(*t, x);
        ASSERT_EQ(found.index, expected) << name_of(t->isa) << " width " << n;
        ASSERT_EQ(found.value, x[static_cast<size_t>(expected)]);
      }
    }
  }
}

TEST(Argmax, NeverChoosesNan) {
  for (const KernelTable* t : tables_of_this_cpu()) {
    for (int n : {2, 16, 33, 64, 100}) {
      std::vector<float> x(static_cast<size_t>(n), kNan);
      x.back() = -kInfinity;
      EXPECT_EQ(largest_by(*t, x).index, n - 1);
      x[static_cast<size_t>(n) / 2] = -5.0f;
      EXPECT_EQ(largest_by(*t, x).index, n / 2);
      EXPECT_EQ(largest_by(*t, x).value, -5.0f);
    }
  }
}

TEST(Argmax, HasAnAnswerWhenNothingIsLarge) {
  for (const KernelTable* t : tables_of_this_cpu()) {
    for (int n : {1, 15, 40, 100}) {
      const auto size = static_cast<size_t>(n);
      EXPECT_EQ(largest_by(*t, std::vector<float>(size, -kInfinity)).index, 0);
      const Largest of_nan = largest_by(*t, std::vector<float>(size, kNan));
      EXPECT_EQ(of_nan.index, 0);
      EXPECT_EQ(of_nan.value, -kInfinity);
      EXPECT_EQ(largest_by(*t, std::vector<float>(size, kInfinity)).index, 0);
    }
  }
}

TEST(BlockMaxima, AreTheLargestOfTheirBlocks) {
  std::vector<int> counts = widths();
  for (const int n : {511, 512, 513, 1535, 5000})
    counts.push_back(n);
  for (const int n : counts) {
    std::vector<float> x = random_row(n, static_cast<unsigned>(n), 5.0f);
    if (n % 3 == 0) x[static_cast<size_t>(n) / 2] = kNan;
    if (n % 5 == 0) x.back() = kInfinity;
    std::vector<float> expected;
    for (int i = 0; i < n; i++) {
      if (i % kMaximaBlock == 0) expected.push_back(-kInfinity);
      const float v = x[static_cast<size_t>(i)];
      if (v > expected.back()) expected.back() = v;
    }
    for (const KernelTable* t : tables_of_this_cpu()) {
      std::vector<float> maxima(expected.size());
      t->block_maxima(x.data(), n, maxima.data());
      ASSERT_EQ(maxima, expected) << name_of(t->isa) << " width " << n;
    }
  }
}

TEST(BlockMaxima, OfNothingButNanIsMinusInfinity) {
  const std::vector<float> x(40, kNan);
  for (const KernelTable* t : tables_of_this_cpu()) {
    float maximum = 0.0f;
    t->block_maxima(x.data(), 40, &maximum);
    EXPECT_EQ(maximum, -kInfinity) << name_of(t->isa);
  }
}

TEST(SumExp, OfOneIsTheWeightItHasAtEveryDistance) {
  for (const KernelTable* t : tables_of_this_cpu()) {
    for (float x = 0.0f; x > -100.0f; x -= 0.037f) {
      const float got = t->sum_exp(&x, 1, 0.0f);
      const double expected = x < -87.0f ? 0.0 : std::exp(static_cast<double>(x));
      ASSERT_LT(error_of(got, expected, 1e-38), 3e-7) << x;
    }
    EXPECT_TRUE(std::isnan(t->sum_exp(&kNan, 1, 0.0f)));
  }
}

TEST(SumExp, IsTheSameInEveryTableAndAgreesWithDoublePrecision) {
  for (int n : widths()) {
    const auto x = random_row(n, static_cast<unsigned>(n), 5.0f);
    const float maximum = *std::max_element(x.begin(), x.end());
    double expected = 0;
    for (float v : x)
      expected += std::exp(static_cast<double>(v) - maximum);
    const float plain = table(Isa::kPlain)->sum_exp(x.data(), n, maximum);
    EXPECT_LT(error_of(plain, expected, 1.0), 1e-6) << "width " << n;
    for (const KernelTable* t : tables_of_this_cpu()) {
      EXPECT_EQ(t->sum_exp(x.data(), n, maximum), plain) << name_of(t->isa) << " width " << n;
    }
  }
}

TEST(SumExp, CountsMinusInfinityAsNothing) {
  std::vector<float> x(50, -kInfinity);
  x[20] = 4.0f;
  x[49] = 4.0f;
  for (const KernelTable* t : tables_of_this_cpu()) {
    EXPECT_EQ(t->sum_exp(x.data(), 50, 4.0f), 2.0f);
  }
}

}  // namespace
}  // namespace inferno::kernel
