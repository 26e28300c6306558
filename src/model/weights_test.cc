#include "model/weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

namespace inferno::model {
namespace {

namespace fs = std::filesystem;

fs::path shared_models() {
  return fs::path(INFERNO_SOURCE_DIR) / "../shared/models";
}

class WeightsOf : public ::testing::TestWithParam<const char*> {};

// A product with a one-hot row gives a column of the matrix, which must be what the file's tensor
// holds.
TEST_P(WeightsOf, PackedMatricesHoldTheFilesValues) {
  const fs::path path = shared_models() / GetParam();
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
  ASSERT_EQ(kernel::activation_kind(down.matrix.format), kernel::ActivationKind::kFloat);
  std::vector<float> x(static_cast<size_t>(down.inputs()));
  std::vector<float> y(static_cast<size_t>(down.outputs()));
  auto scratch = Buffer::allocate(kernel::kMatmulScratchBytes, "test");
  for (const int column : {0, 7, down.inputs() - 1}) {
    std::ranges::fill(x, 0.0f);
    x[static_cast<size_t>(column)] = 1.0f;
    kernel::best_table().matmul(down.matrix, {.floats = x.data(), .quantized = nullptr, .rows = 1},
                                {.y = y.data(),
                                 .stride = y.size(),
                                 .panel_begin = 0,
                                 .panel_end = down.panel_count(),
                                 .accumulate = false},
                                scratch->data());
    for (size_t row = 0; row < y.size(); ++row) {
      EXPECT_EQ(y[row], values[row * x.size() + static_cast<size_t>(column)]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, WeightsOf,
                         ::testing::Values("llama/model-f32.gguf", "llama/model-F16.gguf",
                                           "llama/hf-bf16", "llama-quantized/model-IQ2_XS.gguf"));

TEST(Weights, EmbeddingIsTheRowOfItsToken) {
  const fs::path path = shared_models() / "llama/model-f32.gguf";
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

}  // namespace
}  // namespace inferno::model
