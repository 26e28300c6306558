#include "model/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "base/conformance_data.h"
#include "kernel/matmul_test_data.h"
#include "model/gguf_test_writer.h"
#include "model/safetensors.h"

namespace inferno::model {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class WeightsOf : public ::testing::TestWithParam<const char*> {};

// A product with a one-hot row gives a column of the matrix, which must be what the file's tensor
// holds.
TEST_P(WeightsOf, PackedMatricesHoldTheFilesValues) {
  const fs::path path = conformance_data("models") / GetParam();
  if (!fs::exists(path)) GTEST_SKIP() << path << " is absent";
  auto opened = Checkpoint::open(path);
  ASSERT_TRUE(opened) << opened.error().message;
  const std::shared_ptr<const Checkpoint> checkpoint = std::move(*opened);
  ThreadPool pool(2);
  size_t last_done = 0;
  size_t total = 0;
  auto weights = Weights::load(checkpoint, pool, [&](size_t done, size_t all) {
    EXPECT_GT(done, last_done);
    last_done = done;
    total = all;
  });
  ASSERT_TRUE(weights) << weights.error().message;
  EXPECT_GT(last_done, total * 9 / 10);

  const Linear& down = (*weights)->layer(1).down;
  const auto tensor = checkpoint->tensor("blk.1.ffn_down.weight");
  ASSERT_TRUE(tensor);
  std::vector<float> values(static_cast<size_t>(element_count(*tensor)));
  ASSERT_TRUE(kernel::dequantize(tensor->type, tensor->data, values.size(), values.data()));
  const auto kind = kernel::activation_kind(down.matrix.format);
  std::vector<float> one(static_cast<size_t>(down.inputs()));
  for (const int column : {0, 7, down.inputs() - 1}) {
    std::ranges::fill(one, 0.0f);
    one[static_cast<size_t>(column)] = 1.0f;
    const kernel::Activations x(one, 1, down.inputs(), kind);
    const std::vector<float> y = kernel::product(kernel::best_table(), down.matrix, x.input());
    for (size_t row = 0; row < y.size(); ++row) {
      EXPECT_EQ(y[row], values[row * one.size() + static_cast<size_t>(column)]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, WeightsOf,
                         ::testing::Values("llama/model-f32.gguf", "llama/model-F16.gguf",
                                           "llama/hf-bf16"));

// Squared error of a packed matrix over the squares of the file's values, from products with
// one-hot rows.
double error_of(const Linear& linear, const std::vector<float>& values) {
  const int n = linear.outputs(), k = linear.inputs();
  double error = 0.0, power = 0.0;
  const kernel::AlignedBytes scratch(kernel::kMatmulScratchBytes);
  for (int column = 0; column < k; column += 7) {
    std::vector<float> one(static_cast<size_t>(k));
    one[static_cast<size_t>(column)] = 127.0f;  // exact in 8 bits
    const kernel::Activations x(one, 1, k, kernel::activation_kind(linear.matrix.format));
    const std::vector<float> y = kernel::product(kernel::best_table(), linear.matrix, x.input());
    for (int row = 0; row < n; ++row) {
      const auto want = static_cast<double>(values[static_cast<size_t>(row * k + column)]);
      error += std::pow(static_cast<double>(y[static_cast<size_t>(row)]) / 127.0 - want, 2);
      power += want * want;
    }
  }
  return error / power;
}

struct QuantizedCase {
  const char* path;
  Quantization quantization;
  kernel::PackedFormat layers;
  double layers_error;
};

class QuantizedAtLoad : public ::testing::TestWithParam<QuantizedCase> {};

TEST_P(QuantizedAtLoad, MatricesAreCloseAndNormsAndEmbeddingsUntouched) {
  const QuantizedCase& test = GetParam();
  const fs::path path = conformance_data("models") / test.path;
  if (!fs::exists(path)) GTEST_SKIP() << path << " is absent";
  const std::shared_ptr<const Checkpoint> checkpoint = std::move(*Checkpoint::open(path));
  ThreadPool pool(2);
  const WeightOptions options{.quantization = test.quantization};
  const auto weights = Weights::load(checkpoint, pool, {}, options);
  ASSERT_TRUE(weights) << weights.error().message;
  const auto plain = Weights::load(checkpoint, pool, {});
  ASSERT_TRUE(plain);
  const auto estimate = Weights::estimate_bytes(checkpoint, options);
  ASSERT_TRUE(estimate);
  EXPECT_EQ(*estimate, (*weights)->packed_bytes());
  EXPECT_LT(*estimate, (*plain)->packed_bytes() * 6 / 10);

  const auto error_in = [&](const Linear& linear, const std::string& name) {
    const auto matrix = checkpoint->matrix(name);
    EXPECT_TRUE(matrix);
    std::vector<float> values(static_cast<size_t>(linear.outputs() * linear.inputs()));
    (*matrix)->read({0, linear.outputs()}, values.data());
    return error_of(linear, values);
  };
  const LayerWeights& layer = (*weights)->layer(1);
  EXPECT_EQ(layer.up.matrix.format, test.layers);
  EXPECT_EQ(layer.down.matrix.format, test.layers);
  EXPECT_LT(error_in(layer.q, "blk.1.attn_q.weight"), test.layers_error);
  EXPECT_LT(error_in(layer.down, "blk.1.ffn_down.weight"), test.layers_error);
  EXPECT_EQ((*weights)->head().matrix.format, kernel::PackedFormat::kQ8);
  const char* head = checkpoint->has("output.weight") ? "output.weight" : "token_embd.weight";
  EXPECT_LT(error_in((*weights)->head(), head), 5e-5);

  EXPECT_EQ(layer.attention_norm, (*plain)->layer(1).attention_norm);
  EXPECT_EQ(layer.q.bias, (*plain)->layer(1).q.bias);
  const auto width = static_cast<size_t>(checkpoint->config().width);
  std::vector<float> a(width), b(width);
  (*weights)->embed(3, a.data());
  (*plain)->embed(3, b.data());
  EXPECT_EQ(a, b);
}

INSTANTIATE_TEST_SUITE_P(Models, QuantizedAtLoad,
                         ::testing::Values(QuantizedCase{"llama/hf", Quantization::kQ8,
                                                         kernel::PackedFormat::kQ8, 5e-5},
                                           QuantizedCase{"llama/hf-bf16", Quantization::kQ8,
                                                         kernel::PackedFormat::kQ8, 5e-5},
                                           // Inputs of this model are no multiple of 256.
                                           QuantizedCase{"llama/hf", Quantization::kQ4K,
                                                         kernel::PackedFormat::kQ4, 6.5e-3}));

TEST(Weights, WhatTheFileQuantizedStaysAsItIs) {
  const fs::path path = conformance_data("models") / "llama-quantized/model-Q5_K_M.gguf";
  if (!fs::exists(path)) GTEST_SKIP() << path << " is absent";
  const std::shared_ptr<const Checkpoint> checkpoint = std::move(*Checkpoint::open(path));
  ThreadPool pool(1);
  const auto plain = Weights::estimate_bytes(checkpoint);
  const auto quantized = Weights::estimate_bytes(checkpoint, {.quantization = Quantization::kQ4K});
  ASSERT_TRUE(plain && quantized);
  EXPECT_EQ(*plain, *quantized);
}

TEST(Weights, QuantizationsAreNamed) {
  EXPECT_EQ(quantization_named("none"), Quantization::kNone);
  EXPECT_EQ(quantization_named("q8"), Quantization::kQ8);
  EXPECT_EQ(quantization_named("q4k"), Quantization::kQ4K);
  EXPECT_EQ(quantization_named("q5"), std::nullopt);
}

TEST(Weights, EmbeddingIsTheRowOfItsToken) {
  const fs::path path = conformance_data("models") / "llama/model-f32.gguf";
  if (!fs::exists(path)) GTEST_SKIP() << path << " is absent";
  const std::shared_ptr<const Checkpoint> checkpoint = std::move(*Checkpoint::open(path));
  ThreadPool pool(1);
  const auto weights = Weights::load(checkpoint, pool, {});
  ASSERT_TRUE(weights);
  const auto tensor = checkpoint->tensor("token_embd.weight");
  std::vector<float> row(static_cast<size_t>(checkpoint->config().width));
  (*weights)->embed(3, row.data());
  const auto* stored = reinterpret_cast<const float*>(tensor->data) + 3 * row.size();
  for (size_t i = 0; i < row.size(); ++i)
    EXPECT_EQ(row[i], stored[i]);
}

// Writes `value` over the first sink of layer 2 in a copy of the folder, and says what loading it
// says; empty when it loads.
std::string message_with_sink(const fs::path& folder, float value) {
  const TemporaryFolder copy;
  for (const char* name : {"config.json", "model.safetensors"})
    fs::copy_file(folder / name, copy.path() / name);
  const auto file = Safetensors::open(copy.path());
  const uint8_t* sinks = file->find("model.layers.2.self_attn.sinks")->data;
  std::fstream bytes(copy.path() / "model.safetensors",
                     std::ios::binary | std::ios::in | std::ios::out);
  bytes.seekp(sinks - file->shards().front().bytes().data());
  bytes.write(reinterpret_cast<const char*>(&value), sizeof(value));
  bytes.close();
  auto checkpoint = Checkpoint::open(copy.path());
  if (!checkpoint) return checkpoint.error().message;
  ThreadPool pool(1);
  const auto weights = Weights::load(std::move(*checkpoint), pool, {});
  return weights ? std::string() : weights.error().message;
}

TEST(Weights, ASinkThatWouldTakeAllWeightIsRefused) {
  const fs::path folder = conformance_data("models") / "gptoss/hf";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is absent";
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(message_with_sink(folder, 1.5f), "");
  EXPECT_EQ(message_with_sink(folder, -kInfinity), "");
  EXPECT_THAT(message_with_sink(folder, kInfinity),
              HasSubstr("tensor blk.2.attn_sinks.weight holds inf, limit 1e+30"));
  EXPECT_THAT(message_with_sink(folder, std::numeric_limits<float>::quiet_NaN()),
              HasSubstr("holds nan"));
}

}  // namespace
}  // namespace inferno::model
