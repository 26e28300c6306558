// Results of other implementations, which the forward pass must reproduce (../shared/models, see
// its README).
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>

#include "base/conformance_data.h"
#include "model/decoder.h"
#include "model/model_cache.h"
#include "token/tokenizer.h"

namespace inferno::model {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

json::value read_json(const fs::path& path) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  boost::system::error_code trouble;
  json::value value = json::parse(text, trouble);
  EXPECT_FALSE(trouble) << path;
  return value;
}

// Base64 of little-endian float32.
std::vector<float> floats_of(std::string_view base64) {
  std::vector<uint8_t> bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : base64) {
    const std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t digit = alphabet.find(c);
    if (digit == std::string_view::npos) break;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<uint8_t>(bits >> count & 0xFF));
  }
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

int argmax(std::span<const float> values) {
  return static_cast<int>(std::ranges::max_element(values) - values.begin());
}

// What a reference chose after a prompt, and how far ahead of the next best each choice was.
struct Continuation {
  std::vector<TokenId> prompt;
  std::vector<TokenId> greedy;
  std::vector<float> margins;
};

// Sequences through a whole model, most often one at a time.
class Runner {
 public:
  static std::unique_ptr<Runner> open(const fs::path& path, kernel::KvType kv_type) {
    auto runner = std::make_unique<Runner>();
    auto checkpoint = Checkpoint::open(path);
    EXPECT_TRUE(checkpoint) << checkpoint.error().message;
    if (!checkpoint) return nullptr;
    runner->checkpoint_ = std::move(*checkpoint);
    auto weights = Weights::load(runner->checkpoint_, runner->pool_, {});
    EXPECT_TRUE(weights) << weights.error().message;
    if (!weights) return nullptr;
    runner->weights_ = std::move(*weights);
    auto store =
        kv::PageStore::create(Decoder::kv_shape(runner->weights_->config(), kv_type), kPages);
    EXPECT_TRUE(store);
    runner->store_ = std::move(*store);
    auto decoder = Decoder::create({.weights = *runner->weights_,
                                    .table = kernel::best_table(),
                                    .pool = runner->pool_,
                                    .store = *runner->store_},
                                   {.batch_tokens = kChunk, .logit_rows = kMostSequences});
    EXPECT_TRUE(decoder);
    runner->decoder_ = std::move(*decoder);
    runner->pages_.resize(kPages);
    std::iota(runner->pages_.rbegin(), runner->pages_.rend(), 0U);
    return runner;
  }

  std::vector<TokenId> encode(std::string_view text, token::EncodeOptions options) {
    if (tokenizer_ == nullptr) {
      auto vocabulary = checkpoint_->vocabulary();
      EXPECT_TRUE(vocabulary) << vocabulary.error().message;
      if (!vocabulary) return {};
      auto tokenizer = token::Tokenizer::create(std::move(*vocabulary));
      EXPECT_TRUE(tokenizer) << tokenizer.error().message;
      if (!tokenizer) return {};
      tokenizer_ = std::move(*tokenizer);
    }
    return tokenizer_->encode(text, options);
  }

  // Whether there is room for them all, and they have equally many choices.
  bool can_choose_along(const std::vector<Continuation>& references) const {
    if (references.empty() || references.size() > size_t{kMostSequences}) return false;
    size_t pages = 0;
    for (const Continuation& reference : references) {
      if (reference.greedy.size() != references.front().greedy.size()) return false;
      if (reference.margins.size() != reference.greedy.size()) return false;
      pages += pages_of(reference);
    }
    return pages <= pages_.size();
  }

  // What follows each prompt if what was chosen until then is what its reference chose; the
  // sequences grow side by side. Requires: can_choose_along().
  std::vector<std::vector<TokenId>> choices_along(const std::vector<Continuation>& references) {
    const size_t count = references.size(), steps = references.front().greedy.size();
    std::vector<std::vector<TokenId>> chosen(count);
    std::vector<ForwardPiece> pieces(count);
    std::span<const uint32_t> free = pages_;
    for (size_t i = 0; i < count; ++i) {
      const std::vector<TokenId>& prompt = references[i].prompt;
      pieces[i].pages = free.first(pages_of(references[i]));
      free = free.subspan(pieces[i].pages.size());
      chosen[i].push_back(argmax(logits_after(prompt, 0, pieces[i].pages)));
      pieces[i].first_position = static_cast<int>(prompt.size());
    }
    std::vector<int> rows(count);
    std::iota(rows.begin(), rows.end(), 0);
    const auto vocab = static_cast<size_t>(decoder_->vocab_size());
    std::vector<float> logits(count * vocab);
    for (size_t step = 0; step + 1 < steps; ++step) {
      for (size_t i = 0; i < count; ++i)
        pieces[i].tokens = std::span(references[i].greedy).subspan(step, 1);
      decoder_->forward(pieces);
      decoder_->logits(rows, logits.data());
      for (size_t i = 0; i < count; ++i) {
        chosen[i].push_back(argmax(std::span(logits).subspan(i * vocab, vocab)));
        ++pieces[i].first_position;
      }
    }
    return chosen;
  }

  // Logits after the last of `tokens`, of which the first `known` were given before.
  std::vector<float> logits_after(const std::vector<TokenId>& tokens, int known) {
    return logits_after(tokens, known, pages_);
  }

 private:
  std::vector<float> logits_after(const std::vector<TokenId>& tokens, int known,
                                  std::span<const uint32_t> pages) {
    int last = 0;
    while (known < static_cast<int>(tokens.size())) {
      const int count = std::min(static_cast<int>(tokens.size()) - known, kChunk);
      const ForwardPiece piece{.tokens = std::span(tokens).subspan(static_cast<size_t>(known),
                                                                   static_cast<size_t>(count)),
                               .first_position = known,
                               .pages = pages};
      decoder_->forward({&piece, 1});
      known += count;
      last = count - 1;
    }
    std::vector<float> logits(static_cast<size_t>(decoder_->vocab_size()));
    decoder_->logits({&last, 1}, logits.data());
    return logits;
  }

  // Of a prompt and all choices after it.
  static size_t pages_of(const Continuation& reference) {
    return (reference.prompt.size() + reference.greedy.size()) / 16 + 1;
  }

  static constexpr int kPages = 320;
  static constexpr int kMostSequences = 24;  // two references each of 12 prompts
  static constexpr int kChunk = 512;

  std::shared_ptr<const Checkpoint> checkpoint_;
  std::unique_ptr<token::Tokenizer> tokenizer_;
  ThreadPool pool_{2};
  std::unique_ptr<Weights> weights_;
  std::optional<kv::PageStore> store_;
  std::unique_ptr<Decoder> decoder_;
  std::vector<uint32_t> pages_;
};

std::vector<TokenId> ids_of(const json::value& array) {
  return json::value_to<std::vector<TokenId>>(array);
}

// Compares each prompt's logits within `bound`, and greedy tokens up to the first step whose margin
// is under twice that.
void expect_golden(Runner& runner, const json::array& prompts, float bound) {
  for (const json::value& prompt : prompts) {
    SCOPED_TRACE(std::string(prompt.at("name").as_string()));
    std::vector<TokenId> tokens = ids_of(prompt.at("token_ids"));
    std::vector<float> logits = runner.logits_after(tokens, 0);
    const std::vector<float> expected = floats_of(prompt.at("logits").as_string());
    ASSERT_EQ(logits.size(), expected.size());
    float largest = 0.0f;
    for (size_t i = 0; i < logits.size(); ++i)
      largest = std::max(largest, std::fabs(logits[i] - expected[i]));
    EXPECT_LE(largest, bound);
    const std::vector<TokenId> greedy = ids_of(prompt.at("greedy_token_ids"));
    const auto margins = json::value_to<std::vector<float>>(prompt.at("greedy_margins"));
    for (size_t step = 0; step < greedy.size() && margins[step] >= 2.0f * bound; ++step) {
      ASSERT_EQ(argmax(logits), greedy[step]) << "step " << step << ", margin " << margins[step];
      tokens.push_back(greedy[step]);
      logits = runner.logits_after(tokens, static_cast<int>(tokens.size()) - 1);
    }
  }
}

struct GoldenCase {
  const char* folder;  // under shared/models, where golden.json lies
  const char* model;   // file or folder within it
  const char* twin;    // JSON pointer to this form's results in golden.json; empty: the top level
  float bound;
};

std::ostream& operator<<(std::ostream& out, const GoldenCase& test) {
  return out << test.folder << "/" << test.model;
}

class DecoderGolden : public ::testing::TestWithParam<GoldenCase> {};

TEST_P(DecoderGolden, LogitsAndGreedyTokensAgreeWithTheReference) {
  const GoldenCase& test = GetParam();
  const fs::path folder = conformance_data("models") / test.folder;
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is absent";
  const json::value golden = read_json(folder / "golden.json");
  boost::system::error_code trouble;
  const json::value* source = golden.find_pointer(test.twin, trouble);
  ASSERT_NE(source, nullptr) << test.twin;
  auto runner = Runner::open(folder / test.model, kernel::KvType::kF32);
  ASSERT_TRUE(runner);
  expect_golden(*runner, source->at("prompts").as_array(), test.bound);
}

TEST_P(DecoderGolden, TokenizerGivesTheSameIds) {
  const GoldenCase& test = GetParam();
  const fs::path folder = conformance_data("models") / test.folder;
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is absent";
  const json::value golden = read_json(folder / "golden.json");
  auto runner = Runner::open(folder / test.model, kernel::KvType::kF32);
  ASSERT_TRUE(runner);
  for (const json::value& prompt : golden.at("prompts").as_array()) {
    EXPECT_EQ(runner->encode(prompt.at("text").as_string(), {.add_special = true}),
              ids_of(prompt.at("token_ids")));
  }
}

// The bound of bfloat16 weights: activations are rounded to bfloat16 (shared/models/README.md has
// the differences of such arithmetic, 0.08 at most).
INSTANTIATE_TEST_SUITE_P(
    Models, DecoderGolden,
    ::testing::Values(
        GoldenCase{"llama", "hf", "", 1e-3f}, GoldenCase{"llama", "model-f32.gguf", "", 1e-3f},
        GoldenCase{"llama", "model-F16.gguf", "/gguf_types/F16", 1e-3f},
        GoldenCase{"llama", "model-BF16.gguf", "/gguf_types/BF16", 0.1f},
        GoldenCase{"llama", "hf-bf16", "/bf16_twin", 0.1f}, GoldenCase{"qwen2", "hf", "", 1e-3f},
        GoldenCase{"qwen2", "model-f32.gguf", "", 1e-3f}, GoldenCase{"mistral", "hf", "", 1e-3f},
        GoldenCase{"qwen3", "hf", "", 1e-3f}, GoldenCase{"qwen3", "model-f32.gguf", "", 1e-3f},
        GoldenCase{"qwen3", "hf-bf16", "/bf16_twin", 0.1f}, GoldenCase{"gemma2", "hf", "", 1e-3f},
        GoldenCase{"gemma2", "model-f32.gguf", "", 1e-3f}, GoldenCase{"gemma3", "hf", "", 1e-3f},
        GoldenCase{"gemma3", "model-f32.gguf", "", 1e-3f}, GoldenCase{"mixtral", "hf", "", 1e-3f},
        GoldenCase{"mixtral", "model-f32.gguf", "", 1e-3f}, GoldenCase{"qwen3moe", "hf", "", 1e-3f},
        GoldenCase{"qwen3moe", "model-f32.gguf", "", 1e-3f}, GoldenCase{"gptoss", "hf", "", 1e-3f},
        GoldenCase{"gptoss-truncated", "hf", "", 1e-3f},
        GoldenCase{"gptoss-truncated", "model-f32.gguf", "", 1e-3f}));

// Bounds: activations of 8 bits with integer weights; weights rounded to bfloat16 or float16.
INSTANTIATE_TEST_SUITE_P(Packed, DecoderGolden,
                         ::testing::Values(GoldenCase{"llama-gptq-int4", "hf", "", 0.6f},
                                           GoldenCase{"llama-gptq-int4-actorder", "hf", "", 0.1f},
                                           GoldenCase{"llama-gptq-int8", "hf", "", 0.6f},
                                           GoldenCase{"llama-awq-int4", "hf", "", 0.6f},
                                           GoldenCase{"llama-ct-int4", "hf", "", 0.6f},
                                           GoldenCase{"llama-ct-int4-asym", "hf", "", 0.6f},
                                           GoldenCase{"llama-ct-int8", "hf", "", 0.6f},
                                           GoldenCase{"gptoss-mxfp4", "hf", "", 0.6f},
                                           GoldenCase{"gptoss-mxfp4", "model-mxfp4.gguf", "", 0.6f},
                                           GoldenCase{"llama-ct-fp8", "hf", "", 1.0f},
                                           GoldenCase{"llama-fp8-block", "hf", "", 1.0f}));

TEST(DecoderGoldenQuantized, EveryGgufTypeAgreesWithItsDequantizedWeights) {
  const fs::path folder = conformance_data("models") / "llama-quantized";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is absent";
  const json::value golden = read_json(folder / "golden.json");
  int checked = 0;
  for (const auto& [type, entry] : golden.at("types").as_object()) {
    SCOPED_TRACE(std::string(type));
    const fs::path file = folder / std::string(entry.at("file").as_string());
    auto runner = Runner::open(file, kernel::KvType::kF32);
    ASSERT_TRUE(runner);
    expect_golden(*runner, entry.at("prompts").as_array(), 0.6f);
    ++checked;
  }
  EXPECT_GT(checked, 20);
}

size_t agreeing_steps(const std::vector<TokenId>& chosen, const Continuation& reference) {
  return static_cast<size_t>(std::ranges::mismatch(chosen, reference.greedy).in1 - chosen.begin());
}

// Whether `chosen` is what the reference chose, up to a near tie of its own.
bool follows(const std::vector<TokenId>& chosen, const Continuation& reference) {
  EXPECT_EQ(chosen.size(), reference.greedy.size());
  const size_t step = agreeing_steps(chosen, reference);
  return step == chosen.size() || reference.margins[step] < 0.5f;
}

// Where they part, for a failure.
std::string parting(const std::vector<TokenId>& chosen, const Continuation& reference) {
  const size_t step = agreeing_steps(chosen, reference);
  if (step == chosen.size()) return "as its reference";
  return fmt::format("step {} is {} and not {}, which is ahead by {}", step, chosen[step],
                     reference.greedy[step], reference.margins[step]);
}

class RealModel : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(RealModel, GreedyTokensFollowTheReferences) {
  const auto& [name, file] = GetParam();
  const fs::path reference = conformance_data("models") / "real" / (std::string(name) + ".json");
  const fs::path model = model_cache() / file;
  // The large ones take minutes: tests/accept/real_models.sh.
  const bool is_default = std::string_view(name).starts_with("smollm2");
  if (!is_default && std::getenv("INFERNO_TEST_ALL_MODELS") == nullptr) {
    GTEST_SKIP() << "INFERNO_TEST_ALL_MODELS is not set";
  }
  if (!fs::exists(reference)) GTEST_SKIP() << reference << " is absent";
  if (!fs::exists(model)) GTEST_SKIP() << model << " is absent; `./dev model` fetches it";
  const json::value golden = read_json(reference);
  auto runner = Runner::open(model, kernel::KvType::kF16);
  ASSERT_TRUE(runner);
  std::vector<Continuation> references;  // two for each prompt
  for (const json::value& prompt : golden.at("prompts").as_array()) {
    const std::vector<TokenId> tokens = ids_of(prompt.at("token_ids"));
    const bool adds_special = prompt.at("add_special_tokens").as_bool();
    EXPECT_EQ(runner->encode(prompt.at("text").as_string(),
                             {.add_special = adds_special, .parse_special = true}),
              tokens);
    for (const char* name_of_reference : {"transformers", "llama_cpp"}) {
      const json::value& greedy = prompt.at(name_of_reference);
      references.push_back(
          {.prompt = tokens,
           .greedy = ids_of(greedy.at("greedy_token_ids")),
           .margins = json::value_to<std::vector<float>>(greedy.at("greedy_margins"))});
    }
  }
  ASSERT_TRUE(runner->can_choose_along(references));
  const std::vector<std::vector<TokenId>> chosen = runner->choices_along(references);
  // Where two implementations with other arithmetic part, this one must follow one of them.
  for (size_t i = 0; i < chosen.size(); i += 2) {
    EXPECT_TRUE(follows(chosen[i], references[i]) || follows(chosen[i + 1], references[i + 1]))
        << "prompt " << i / 2 << ": " << parting(chosen[i], references[i]) << ", "
        << parting(chosen[i + 1], references[i + 1]);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, RealModel,
    ::testing::Values(std::pair{"smollm2-135m-q4_1", "SmolLM2-135M-Instruct.Q4_1.gguf"},
                      std::pair{"gemma-3-270m-q4_k_m", "gemma-3-270m-q4_k_m.gguf"},
                      std::pair{"qwen2.5-coder-1.5b", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"}));

}  // namespace
}  // namespace inferno::model
