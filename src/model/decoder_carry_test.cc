// Pieces that are carried through the layers over several calls, beside others that are whole: the
// same bits as in one call (conformance models).
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>
#include <random>

#include "base/conformance_data.h"
#include "model/decoder.h"

namespace inferno::model {
namespace {

namespace fs = std::filesystem;

constexpr int kCarryPageCount = 60;
constexpr int kPagesEach = 15;
constexpr int kKnown = 90;  // tokens of a prompt before the piece that is carried
constexpr int kCarried = 23;

class DecoderCarry : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const fs::path path = conformance_data("models") / GetParam() / "model-f32.gguf";
    if (!fs::exists(path)) GTEST_SKIP() << path << " is absent";
    auto checkpoint = Checkpoint::open(path);
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    checkpoint_ = std::move(*checkpoint);
    auto weights = Weights::load(checkpoint_, pool_, {});
    ASSERT_TRUE(weights) << weights.error().message;
    weights_ = std::move(*weights);
    auto store = kv::PageStore::create(Decoder::kv_shape(weights_->config(), kernel::KvType::kF16),
                                       kCarryPageCount);
    ASSERT_TRUE(store);
    store_ = std::move(*store);
    auto decoder = Decoder::create(
        {.weights = *weights_, .table = kernel::best_table(), .pool = pool_, .store = *store_},
        {.batch_tokens = 128, .logit_rows = 8, .carry_rows = 64});
    ASSERT_TRUE(decoder);
    decoder_ = std::move(*decoder);
    pages_.resize(kCarryPageCount);
    std::iota(pages_.begin(), pages_.end(), 0U);
    std::mt19937 random(5);
    tokens_.resize(kKnown + kCarried + 20);
    for (TokenId& token : tokens_)
      token = static_cast<TokenId>(random() % static_cast<unsigned>(decoder_->vocab_size()));
  }

  // Tokens [first, first + count) of sequence number `sequence`, which all have the same.
  ForwardPiece piece(int sequence, int first, int count) const {
    return {
        .tokens =
            std::span(tokens_).subspan(static_cast<size_t>(first), static_cast<size_t>(count)),
        .first_position = first,
        .pages = std::span(pages_).subspan(static_cast<size_t>(sequence * kPagesEach), kPagesEach)};
  }

  void forward(std::vector<ForwardPiece> pieces) { decoder_->forward(pieces); }

  std::vector<float> logits(int row) {
    std::vector<float> logits(static_cast<size_t>(decoder_->vocab_size()));
    decoder_->logits({&row, 1}, logits.data());
    return logits;
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  ThreadPool pool_{2};
  std::unique_ptr<Weights> weights_;
  std::optional<kv::PageStore> store_;
  std::unique_ptr<Decoder> decoder_;
  std::vector<uint32_t> pages_;
  std::vector<TokenId> tokens_;
};

TEST_P(DecoderCarry, GivesTheBitsOfOneCall) {
  const int layer_count = decoder_->layer_count();
  forward({piece(0, 0, kKnown)});
  forward({piece(0, kKnown, kCarried)});
  const std::vector<float> expected = logits(kCarried - 1);
  forward({piece(0, kKnown + kCarried, 1)});
  const std::vector<float> expected_next = logits(0);
  forward({piece(1, 0, kKnown)});
  for (int at_once = 1; at_once < layer_count; ++at_once) {
    forward({piece(2, 0, kKnown)});
    forward({piece(3, 0, 7)});
    int decoded = kKnown;
    for (int layer = 0; layer < layer_count; layer += at_once) {
      const Range layers{layer, std::min(layer + at_once, layer_count)};
      ForwardPiece first = piece(2, kKnown, kCarried);
      first.layers = layers;
      first.carry_row = 30;
      ForwardPiece second = piece(3, 7, 11);
      second.layers = layers;
      second.carry_row = 0;
      // As many rows before them as there may be at the time, none in the end.
      std::vector<ForwardPiece> pieces;
      if (layers.end < layer_count) {
        const int count = 1 + layer % 3;
        pieces.push_back(piece(1, decoded, count));
        decoded += count;
      }
      pieces.push_back(first);
      pieces.push_back(second);
      forward(pieces);
      // Another call between them that carries nothing.
      if (layer == 0) forward({piece(1, decoded++, 1)});
    }
    EXPECT_EQ(logits(kCarried - 1), expected) << at_once << " layers at once";
    forward({piece(2, kKnown + kCarried, 1)});
    EXPECT_EQ(logits(0), expected_next) << at_once << " layers at once";
  }
}

TEST_P(DecoderCarry, HasNoRowsForPiecesThatAreNeverCarried) {
  constexpr int kRows = 100;
  const ModelConfig& config = decoder_->config();
  const DecoderLimits whole{.batch_tokens = 128, .logit_rows = 8};
  DecoderLimits carrying = whole;
  carrying.carry_rows = kRows;
  const size_t whole_bytes = Decoder::activation_bytes_for(config, whole, 2);
  const size_t bytes = Decoder::activation_bytes_for(config, carrying, 2);
  EXPECT_GE(bytes - whole_bytes, kRows * sizeof(float) * static_cast<size_t>(config.width));
  EXPECT_EQ(decoder_->layer_count(), config.layer_count);
  const auto decoder = Decoder::create(
      {.weights = *weights_, .table = kernel::best_table(), .pool = pool_, .store = *store_},
      whole);
  ASSERT_TRUE(decoder);
  EXPECT_EQ((*decoder)->layer_count(), 1) << "so nobody carries anything through it";
}

INSTANTIATE_TEST_SUITE_P(Models, DecoderCarry,
                         ::testing::Values("llama", "gemma2", "gemma3", "qwen3moe"));

}  // namespace
}  // namespace inferno::model
