#include "model/experts.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/experts_test_data.h"

namespace inferno::model {
namespace {

using kernel::TensorType;

class ExpertsOfType : public ::testing::TestWithParam<TensorType> {};

// Of bfloat16: sizes that fill neither the last tile of inputs nor the last panel.
ExpertShape shape_of(TensorType type) {
  if (type == TensorType::kBF16) {
    return {.experts = 7, .used = 3, .width = 72, .hidden = 116, .type = type};
  }
  const bool is_k = kernel::block_shape(type).elements == 256;
  return {
      .experts = 7, .used = 3, .width = is_k ? 256 : 96, .hidden = is_k ? 512 : 160, .type = type};
}

// The promise of the whole: a row's result depends on nothing but the row.
TEST_P(ExpertsOfType, SameBitsAloneAndInEveryBatchOnEveryTable) {
  constexpr int kRows = 70;
  const ExpertShape shape = shape_of(GetParam());
  std::mt19937 random(3);
  const ExpertLayer layer(shape, random);
  const auto width = static_cast<size_t>(shape.width);
  const auto experts = static_cast<size_t>(shape.experts);
  const std::vector<float> x = kernel::random_floats(kRows * width, random);
  std::vector<float> logits = kernel::random_floats(kRows * experts, random);
  for (size_t row = 0; row < kRows; ++row)
    logits[row * experts] += row % 3 == 0 ? 9.0f : 0.0f;  // one expert with many rows

  ThreadPool one(1), two(2);
  ExpertRig alone(layer, *kernel::table(kernel::Isa::kPlain), one, 1);
  std::vector<float> expected;
  for (size_t row = 0; row < kRows; ++row) {
    const auto row_at = [&](const std::vector<float>& from, size_t length) {
      return std::vector<float>(from.begin() + static_cast<std::ptrdiff_t>(row * length),
                                from.begin() + static_cast<std::ptrdiff_t>((row + 1) * length));
    };
    const auto result = alone.run(row_at(x, width), row_at(logits, experts), 1);
    expected.insert(expected.end(), result.begin(), result.end());
  }
  EXPECT_TRUE(std::ranges::any_of(expected, [](float value) { return value != 0.0f; }));
  for (const kernel::Isa isa : kernel::kIsas) {
    const kernel::KernelTable* table = kernel::table(isa);
    if (table == nullptr) continue;
    SCOPED_TRACE(kernel::name_of(isa));
    for (ThreadPool* pool : {&one, &two}) {
      ExpertRig rig(layer, *table, *pool, kRows);
      EXPECT_EQ(rig.run(x, logits, kRows), expected) << pool->size() << " threads";
      std::vector<float> in_pieces(expected.size());
      for (int begin = 0; begin < kRows; begin += 9) {
        const int end = std::min(begin + 9, kRows);
        rig.add(logits.data() + static_cast<size_t>(begin) * experts, {begin, end},
                in_pieces.data() + static_cast<size_t>(begin) * width);
      }
      EXPECT_EQ(in_pieces, expected) << pool->size() << " threads";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, ExpertsOfType,
                         ::testing::Values(TensorType::kF32, TensorType::kBF16, TensorType::kQ8_0,
                                           TensorType::kQ4_0, TensorType::kMXFP4, TensorType::kQ4_K,
                                           TensorType::kQ6_K),
                         [](const auto& param) {
                           return std::string(kernel::name_of(param.param));
                         });

// y = x W^T + bias in double.
std::vector<double> naive_product(const Linear& linear, const std::vector<float>& values,
                                  const std::vector<double>& x) {
  std::vector<double> y;
  for (size_t n = 0; n < static_cast<size_t>(linear.outputs()); ++n) {
    double sum = linear.bias.empty() ? 0.0 : static_cast<double>(linear.bias[n]);
    for (size_t k = 0; k < x.size(); ++k)
      sum += x[k] * static_cast<double>(values[n * x.size() + k]);
    y.push_back(sum);
  }
  return y;
}

// The values of a packed matrix of floats: panels of [k][16].
std::vector<float> unpacked_values(const Linear& linear) {
  const auto n = static_cast<size_t>(linear.outputs()), k = static_cast<size_t>(linear.inputs());
  const auto* packed = reinterpret_cast<const float*>(linear.matrix.data);
  std::vector<float> values(n * k);
  for (size_t row = 0; row < n; ++row) {
    for (size_t i = 0; i < k; ++i)
      values[row * k + i] = packed[(row / 16 * k + i) * 16 + row % 16];
  }
  return values;
}

double activated(const ModelConfig& config, double gate, double up) {
  if (config.activation == Activation::kSilu) return gate / (1.0 + std::exp(-gate)) * up;
  const double limit = static_cast<double>(config.swiglu.limit);
  gate = std::min(gate, limit);
  return gate / (1.0 + std::exp(-static_cast<double>(config.swiglu.alpha) * gate)) *
         (std::clamp(up, -limit, limit) + 1.0);
}

class ExpertsOfActivation : public ::testing::TestWithParam<Activation> {};

TEST_P(ExpertsOfActivation, AddsTheChosenBlocksByWeightWithTheirBiases) {
  std::mt19937 random(9);
  ExpertLayer layer({.experts = 5, .used = 2, .width = 64, .hidden = 48}, random);
  layer.config().activation = GetParam();
  layer.config().swiglu = {.alpha = 1.3f, .limit = 0.4f};  // bites
  for (Expert& expert : layer.layer().experts) {
    expert.gate.bias = kernel::random_floats(48, random);
    expert.up.bias = kernel::random_floats(48, random);
    expert.down.bias = kernel::random_floats(64, random);
  }
  const std::vector<float> x = kernel::random_floats(3 * 64, random);
  const std::vector<float> logits = kernel::random_floats(3 * 5, random);
  ThreadPool pool(2);
  ExpertRig rig(layer, kernel::best_table(), pool, 3);
  const std::vector<float> got = rig.run(x, logits, 3);
  for (size_t row = 0; row < 3; ++row) {
    ExpertChoice choices[2];
    route({.expert_count = 5, .used_count = 2}, logits.data() + row * 5, choices);
    const std::vector<double> input(x.begin() + static_cast<std::ptrdiff_t>(row * 64),
                                    x.begin() + static_cast<std::ptrdiff_t>((row + 1) * 64));
    std::vector<double> want(64);
    for (const ExpertChoice& choice : choices) {
      const Expert& expert = layer.layer().experts[static_cast<size_t>(choice.expert)];
      std::vector<double> gate = naive_product(expert.gate, unpacked_values(expert.gate), input);
      const std::vector<double> up = naive_product(expert.up, unpacked_values(expert.up), input);
      for (size_t i = 0; i < gate.size(); ++i)
        gate[i] = activated(layer.config(), gate[i], up[i]);
      const std::vector<double> down =
          naive_product(expert.down, unpacked_values(expert.down), gate);
      for (size_t i = 0; i < want.size(); ++i)
        want[i] += static_cast<double>(choice.weight) * down[i];
    }
    for (size_t i = 0; i < want.size(); ++i)
      EXPECT_NEAR(static_cast<double>(got[row * 64 + i]), want[i], 1e-3);
  }
}

INSTANTIATE_TEST_SUITE_P(Activations, ExpertsOfActivation,
                         ::testing::Values(Activation::kSilu, Activation::kClampedSwiglu));

TEST(Experts, AModelWithoutExpertsTakesNoMemory) {
  Carver carver(nullptr);
  Experts::lay_out(ModelConfig{}, 512, 4, carver);
  EXPECT_EQ(carver.used(), 0u);
}

}  // namespace
}  // namespace inferno::model
