// The step path of real models takes nothing from the heap, whatever the layers are made of.
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

#include "base/conformance_data.h"
#include "engine/allocation_counter.h"
#include "model/decoder.h"

namespace inferno::engine {
namespace {

namespace fs = std::filesystem;

class StepAllocation : public ::testing::TestWithParam<const char*> {};

TEST_P(StepAllocation, AForwardPassTakesNothingFromTheHeap) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers bring a heap of their own";
#endif
  const fs::path path = conformance_data("models") / GetParam();
  if (!fs::exists(path)) GTEST_SKIP() << path << " is absent";
  auto checkpoint = model::Checkpoint::open(path);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  ThreadPool pool(2);
  const auto weights = model::Weights::load(std::move(*checkpoint), pool, {});
  ASSERT_TRUE(weights) << weights.error().message;
  constexpr int kPages = 16;
  auto store = kv::PageStore::create(
      model::Decoder::kv_shape((*weights)->config(), kernel::KvType::kF16), kPages);
  ASSERT_TRUE(store);
  const auto decoder = model::Decoder::create(
      {.weights = **weights, .table = kernel::best_table(), .pool = pool, .store = *store},
      {.batch_tokens = 64, .logit_rows = 2, .carry_rows = 24});
  ASSERT_TRUE(decoder);
  std::vector<uint32_t> pages(kPages);
  std::iota(pages.begin(), pages.end(), 0U);
  std::vector<TokenId> tokens(160);
  std::iota(tokens.begin(), tokens.end(), 5);
  std::vector<float> logits(2 * static_cast<size_t>((*decoder)->vocab_size()));
  // A chunk of one sequence and a single token of another, up to `position`.
  const auto step = [&](int position, size_t count) {
    const std::span<const TokenId> known(tokens);
    const model::ForwardPiece pieces[] = {
        {.tokens = known.subspan(static_cast<size_t>(position), count),
         .first_position = position,
         .pages = std::span(pages).first(kPages / 2)},
        {.tokens = known.subspan(static_cast<size_t>(position), 1),
         .first_position = position / 8,
         .pages = std::span(pages).subspan(kPages / 2)}};
    (*decoder)->forward(pieces);
    const int rows[] = {static_cast<int>(count) - 1, static_cast<int>(count)};
    (*decoder)->logits(rows, logits.data());
  };
  // A chunk that is carried through the layers, one or two in a step, beside single tokens.
  const auto carry = [&](int first, int count) {
    const std::span<const TokenId> known(tokens);
    const int layer_count = (*decoder)->layer_count();
    int decoded = first / 2;
    for (int layer = 0; layer < layer_count; ++decoded) {
      const int layers = std::min(1 + layer % 2, layer_count - layer);
      const model::ForwardPiece pieces[] = {
          {.tokens = known.subspan(static_cast<size_t>(decoded), 1),
           .first_position = decoded,
           .pages = std::span(pages).subspan(kPages / 2)},
          {.tokens = known.subspan(static_cast<size_t>(first), static_cast<size_t>(count)),
           .first_position = first,
           .pages = std::span(pages).first(kPages / 2),
           .layers = {layer, layer + layers},
           .carry_row = 2}};
      (*decoder)->forward(pieces);
      layer += layers;
      const int rows[] = {0, count};
      (*decoder)->logits(std::span(rows).first(layer == layer_count ? 2 : 1), logits.data());
    }
  };
  step(0, 60);  // buffers grow to their size
  carry(60, 12);
  const int64_t before = heap_allocation_count();
  step(72, 18);
  carry(90, 20);
  for (int position = 110; position < 120; ++position)
    step(position, 1);
  EXPECT_EQ(heap_allocation_count() - before, 0);
}

INSTANTIATE_TEST_SUITE_P(Models, StepAllocation,
                         ::testing::Values("llama/model-f32.gguf", "qwen3moe/hf",
                                           "gptoss-mxfp4/hf"));

}  // namespace
}  // namespace inferno::engine
