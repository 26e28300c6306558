#include "model/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/conformance_data.h"
#include "model/gguf.h"
#include "model/gguf_test_writer.h"
#include "model/json_file.h"
#include "model/model_cache.h"
#include "model/safetensors_test_writer.h"
#include "token/tokenizer.h"

namespace inferno::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kVocabulary = Checkpoint::Need::kVocabulary;

// Null, and a failed test that says why, when it does not open.
std::unique_ptr<Checkpoint> opened(const std::filesystem::path& path,
                                   Checkpoint::Need need = Checkpoint::Need::kModel) {
  Result<std::unique_ptr<Checkpoint>> checkpoint = Checkpoint::open(path, need);
  if (checkpoint) return std::move(*checkpoint);
  ADD_FAILURE() << checkpoint.error().message;
  return nullptr;
}

// What opening such a file says; empty when it opens.
std::string refusal_of(const GgufTestWriter& writer) {
  const TemporaryFolder folder;
  const auto checkpoint = Checkpoint::open(folder.write("m.gguf", writer.finish()));
  return checkpoint ? std::string() : checkpoint.error().message;
}

std::unique_ptr<token::Tokenizer> tokenizer_of(const Checkpoint& checkpoint) {
  auto vocabulary = checkpoint.vocabulary();
  if (!vocabulary) {
    ADD_FAILURE() << vocabulary.error().message;
    return nullptr;
  }
  auto tokenizer = token::Tokenizer::create(std::move(*vocabulary));
  if (tokenizer) return std::move(*tokenizer);
  ADD_FAILURE() << tokenizer.error().message;
  return nullptr;
}

// A model small enough to write by hand: L 1, D 8, H 2, K 1, E 4, F 6, V 5.
GgufTestWriter tiny_llama() {
  GgufTestWriter writer;
  writer.text("general.architecture", "llama")
      .u32("llama.context_length", 32)
      .u32("llama.block_count", 1)
      .u32("llama.embedding_length", 8)
      .u32("llama.attention.head_count", 2)
      .u32("llama.attention.head_count_kv", 1)
      .u32("llama.feed_forward_length", 6)
      .f32("llama.attention.layer_norm_rms_epsilon", 1e-5f)
      .tensor("token_embd.weight", {8, 5})
      .tensor("output_norm.weight", {8})
      .tensor("blk.0.attn_norm.weight", {8})
      .tensor("blk.0.attn_q.weight", {8, 8})
      .tensor("blk.0.attn_k.weight", {8, 4})
      .tensor("blk.0.attn_output.weight", {8, 8})
      .tensor("blk.0.ffn_norm.weight", {8})
      .tensor("blk.0.ffn_gate.weight", {8, 6})
      .tensor("blk.0.ffn_up.weight", {8, 6})
      .tensor("blk.0.ffn_down.weight", {6, 8});
  return writer;
}

TEST(Checkpoint, OpensAGgufWhoseTensorsFit) {
  const TemporaryFolder folder;
  const auto path =
      folder.write("m.gguf", tiny_llama().tensor("blk.0.attn_v.weight", {8, 4}).finish());
  const auto checkpoint = opened(path);
  ASSERT_TRUE(checkpoint);
  EXPECT_EQ(checkpoint->format(), "GGUF");
  EXPECT_EQ(checkpoint->name(), "m");
  EXPECT_TRUE(checkpoint->config().has_tied_embeddings);
  EXPECT_FALSE(checkpoint->has("output.weight"));
  EXPECT_THAT(checkpoint->tensor("blk.0.ffn_down.weight")->shape, ElementsAre(8, 6));
  EXPECT_EQ(checkpoint->tensor("blk.1.attn_q.weight").error().fault, Fault::kNotFound);
  EXPECT_EQ(checkpoint->vocabulary().error().fault, Fault::kNotFound);
  EXPECT_EQ(checkpoint->chat_template(), "");
  checkpoint->drop_pages(*checkpoint->tensor("blk.0.ffn_down.weight"));
}

TEST(Checkpoint, NamesTheTensorThatIsMissingOrMisshapen) {
  EXPECT_THAT(refusal_of(tiny_llama()), HasSubstr("'blk.0.attn_v.weight' is missing"));
  EXPECT_THAT(refusal_of(tiny_llama().tensor("blk.0.attn_v.weight", {8, 8})),
              HasSubstr("'blk.0.attn_v.weight' has shape [8, 8], expected [4, 8]"));
  EXPECT_THAT(
      refusal_of(
          tiny_llama().tensor("blk.0.attn_v.weight", {8, 4}).tensor("output.weight", {8, 6})),
      HasSubstr("'output.weight' has shape [6, 8], expected [5, 8]"));
  EXPECT_THAT(
      refusal_of(
          tiny_llama().tensor("blk.0.attn_v.weight", {8, 4}).tensor("blk.0.attn_q.bias", {8})),
      HasSubstr("'blk.0.attn_k.bias' is missing"));
}

TEST(Checkpoint, AnOptionalTensorOfWrongShapeIsRefusedWhenRead) {
  const TemporaryFolder folder;
  const auto path = folder.write(
      "m.gguf",
      tiny_llama().tensor("blk.0.attn_v.weight", {8, 4}).tensor("rope_freqs.weight", {3}).finish());
  const auto checkpoint = opened(path);
  ASSERT_TRUE(checkpoint);
  EXPECT_TRUE(checkpoint->has("rope_freqs.weight"));
  EXPECT_THAT(checkpoint->tensor("rope_freqs.weight").error().message, HasSubstr("expected [2]"));
}

// The same with two experts of F 6 in place of the feed-forward block.
GgufTestWriter tiny_mixture() {
  GgufTestWriter writer;
  writer.text("general.architecture", "llama")
      .u32("llama.context_length", 32)
      .u32("llama.block_count", 1)
      .u32("llama.embedding_length", 8)
      .u32("llama.attention.head_count", 2)
      .u32("llama.feed_forward_length", 6)
      .u32("llama.expert_count", 2)
      .u32("llama.expert_used_count", 1)
      .f32("llama.attention.layer_norm_rms_epsilon", 1e-5f)
      .tensor("token_embd.weight", {8, 5})
      .tensor("output_norm.weight", {8})
      .tensor("blk.0.attn_norm.weight", {8})
      .tensor("blk.0.attn_q.weight", {8, 8})
      .tensor("blk.0.attn_k.weight", {8, 8})
      .tensor("blk.0.attn_v.weight", {8, 8})
      .tensor("blk.0.attn_output.weight", {8, 8})
      .tensor("blk.0.ffn_norm.weight", {8})
      .tensor("blk.0.ffn_gate_inp.weight", {8, 2});
  return writer;
}

TEST(Checkpoint, FindsExpertsInOneTensorOrInTheirOwn) {
  const TemporaryFolder folder;
  const auto stacked =
      folder.write("stacked.gguf", tiny_mixture()
                                       .tensor("blk.0.ffn_gate_exps.weight", {8, 6, 2})
                                       .tensor("blk.0.ffn_up_exps.weight", {8, 6, 2})
                                       .tensor("blk.0.ffn_down_exps.weight", {6, 8, 2})
                                       .finish());
  GgufTestWriter apart = tiny_mixture();
  for (const char* expert : {"0", "1"}) {
    apart.tensor(fmt::format("blk.0.ffn_gate.{}.weight", expert), {8, 6})
        .tensor(fmt::format("blk.0.ffn_up.{}.weight", expert), {8, 6})
        .tensor(fmt::format("blk.0.ffn_down.{}.weight", expert), {6, 8});
  }
  for (const auto& path : {stacked, folder.write("apart.gguf", apart.finish())}) {
    const auto checkpoint = opened(path);
    ASSERT_TRUE(checkpoint);
    const auto up = checkpoint->tensor("blk.0.ffn_up.1.weight");
    ASSERT_TRUE(up) << up.error().message;
    EXPECT_THAT(up->shape, ElementsAre(6, 8));
    EXPECT_EQ(up->bytes, 6u * 8u * 4u);
    float first = 0.0f;
    std::memcpy(&first, up->data, sizeof(first));
    EXPECT_EQ(first, path == stacked ? 48.0f : 0.0f);
    EXPECT_TRUE(checkpoint->matrix("blk.0.ffn_down.1.weight"));
    for (const char* absent : {"blk.0.ffn_up.2.weight", "blk.0.ffn_up.01.weight",
                               "blk.0.ffn_up.-1.weight", "blk.0.ffn_up.weight"}) {
      EXPECT_FALSE(checkpoint->has(absent)) << absent;
    }
  }
}

TEST(Checkpoint, NamesTheTensorOfExpertsThatIsMissingOrMisshapen) {
  EXPECT_THAT(refusal_of(tiny_mixture()), HasSubstr("'blk.0.ffn_gate_exps.weight' is missing"));
  EXPECT_THAT(refusal_of(tiny_mixture().tensor("blk.0.ffn_gate_exps.weight", {8, 6, 3})),
              HasSubstr("'blk.0.ffn_gate_exps.weight' has shape [3, 6, 8], expected [2, 6, 8]"));
  EXPECT_THAT(refusal_of(tiny_mixture().tensor("blk.0.ffn_gate_exps.weight", {8, 12})),
              HasSubstr("expected [2, 6, 8]"));
}

// gpt-oss: L 1, D 32, H 2, K 1, E 8, F 16, V 5, two experts.
GgufTestWriter tiny_gpt_oss() {
  GgufTestWriter writer;
  writer.text("general.architecture", "gpt-oss")
      .u32("gpt-oss.context_length", 32)
      .u32("gpt-oss.block_count", 1)
      .u32("gpt-oss.embedding_length", 32)
      .u32("gpt-oss.attention.head_count", 2)
      .u32("gpt-oss.attention.head_count_kv", 1)
      .u32("gpt-oss.attention.key_length", 8)
      .u32("gpt-oss.attention.value_length", 8)
      .u32("gpt-oss.feed_forward_length", 16)
      .u32("gpt-oss.expert_count", 2)
      .u32("gpt-oss.expert_used_count", 1)
      .f32("gpt-oss.attention.layer_norm_rms_epsilon", 1e-5f)
      .tensor("token_embd.weight", {32, 5})
      .tensor("output_norm.weight", {32})
      .tensor("blk.0.attn_norm.weight", {32})
      .tensor("blk.0.attn_q.weight", {32, 16})
      .tensor("blk.0.attn_k.weight", {32, 8})
      .tensor("blk.0.attn_v.weight", {32, 8})
      .tensor("blk.0.attn_output.weight", {16, 32})
      .tensor("blk.0.ffn_gate_inp.weight", {32, 2})
      .tensor("blk.0.ffn_gate_inp.bias", {2})
      .tensor("blk.0.ffn_gate_exps.weight", {32, 16, 2})
      .tensor("blk.0.ffn_gate_exps.bias", {16, 2})
      .tensor("blk.0.ffn_up_exps.weight", {32, 16, 2})
      .tensor("blk.0.ffn_up_exps.bias", {16, 2})
      .tensor("blk.0.ffn_down_exps.weight", {16, 32, 2});
  return writer;
}

TEST(Checkpoint, OpensAGptOssWhoseTensorsFit) {
  const TemporaryFolder folder;
  const auto checkpoint =
      opened(folder.write("m.gguf", tiny_gpt_oss()
                                        .tensor("blk.0.attn_sinks.weight", {2})
                                        .tensor("blk.0.post_attention_norm.weight", {32})
                                        .tensor("blk.0.ffn_down_exps.bias", {32, 2})
                                        .finish()));
  ASSERT_TRUE(checkpoint);
  EXPECT_THAT(*checkpoint->floats("blk.0.attn_sinks.weight"), ElementsAre(0, 1));
  EXPECT_EQ(checkpoint->floats("blk.0.ffn_norm.weight")->size(), 32u);
  EXPECT_EQ(checkpoint->floats("blk.0.ffn_up.1.bias")->front(), 16.0f);
  EXPECT_FALSE(checkpoint->has("blk.0.ffn_up.2.bias"));
}

TEST(Checkpoint, NamesWhatAGptOssLacks) {
  EXPECT_THAT(refusal_of(tiny_gpt_oss()),
              HasSubstr("'blk.0.post_attention_norm.weight' is missing"));
  const auto normed = [] {
    return tiny_gpt_oss().tensor("blk.0.post_attention_norm.weight", {32});
  };
  EXPECT_THAT(refusal_of(normed()), HasSubstr("'blk.0.attn_sinks.weight' is missing"));
  EXPECT_THAT(refusal_of(normed().tensor("blk.0.attn_sinks.weight", {3})),
              HasSubstr("'blk.0.attn_sinks.weight' has shape [3], expected [2]"));
  const auto sunk = [&] { return normed().tensor("blk.0.attn_sinks.weight", {2}); };
  EXPECT_THAT(refusal_of(sunk()), HasSubstr("'blk.0.ffn_down_exps.bias' is missing"));
  EXPECT_THAT(refusal_of(sunk().tensor("blk.0.ffn_down_exps.bias", {32})),
              HasSubstr("'blk.0.ffn_down_exps.bias' has shape [32], expected [2, 32]"));
}

// The same as a folder. Every tensor is float32 zeros.
constexpr std::string_view kTinyGptOss = R"({"model_type":"gpt_oss","vocab_size":5,
  "hidden_size":32,"intermediate_size":16,"num_hidden_layers":1,"num_attention_heads":2,
  "num_key_value_heads":1,"head_dim":8,"num_local_experts":2,"num_experts_per_tok":1,
  "max_position_embeddings":32,"attention_bias":false,"tie_word_embeddings":true})";

Parts tiny_gpt_oss_parts() {
  const std::pair<const char*, std::vector<int64_t>> shapes[] = {
      {"embed_tokens.weight", {5, 32}},
      {"norm.weight", {32}},
      {"layers.0.input_layernorm.weight", {32}},
      {"layers.0.post_attention_layernorm.weight", {32}},
      {"layers.0.self_attn.q_proj.weight", {16, 32}},
      {"layers.0.self_attn.k_proj.weight", {8, 32}},
      {"layers.0.self_attn.v_proj.weight", {8, 32}},
      {"layers.0.self_attn.o_proj.weight", {32, 16}},
      {"layers.0.self_attn.sinks", {2}},
      {"layers.0.mlp.router.weight", {2, 32}},
      {"layers.0.mlp.router.bias", {2}},
      {"layers.0.mlp.experts.gate_up_proj", {2, 32, 32}},
      {"layers.0.mlp.experts.gate_up_proj_bias", {2, 32}},
      {"layers.0.mlp.experts.down_proj", {2, 16, 32}},
      {"layers.0.mlp.experts.down_proj_bias", {2, 32}}};
  Parts parts;
  for (const auto& [name, shape] : shapes) {
    size_t bytes = sizeof(float);
    for (const int64_t length : shape)
      bytes *= static_cast<size_t>(length);
    parts["model." + std::string(name)] = {"F32", shape, std::vector<uint8_t>(bytes)};
  }
  return parts;
}

TEST(Checkpoint, NamesWhatTheFolderOfAGptOssLacks) {
  const TemporaryFolder folder;
  folder.write("config.json", kTinyGptOss);
  const auto message = [&](const Parts& parts) {
    folder.write("model.safetensors", file_of(parts));
    const auto checkpoint = Checkpoint::open(folder.path());
    return checkpoint ? std::string() : checkpoint.error().message;
  };
  const Parts whole = tiny_gpt_oss_parts();
  EXPECT_EQ(message(whole), "");
  for (const char* name : {"mlp.experts.gate_up_proj", "mlp.experts.gate_up_proj_bias",
                           "mlp.experts.down_proj", "mlp.experts.down_proj_bias"}) {
    const std::string full = fmt::format("model.layers.0.{}", name);
    Parts parts = whole;
    std::vector<int64_t>& shape = parts[full].shape;
    std::ranges::rotate(shape, shape.begin() + 1);  // no square shape, so another one
    shape.push_back(1);
    EXPECT_THAT(message(parts),
                HasSubstr(fmt::format("{}: tensor '{}' has shape {}", folder.path().string(), full,
                                      shape_text(shape))));
    parts.erase(full);
    EXPECT_THAT(message(parts), HasSubstr(fmt::format("tensor '{}' is missing", full)));
  }
  for (const char* name : {"self_attn.sinks", "mlp.router.bias", "mlp.router.weight"}) {
    Parts parts = whole;
    parts.erase(fmt::format("model.layers.0.{}", name));
    EXPECT_THAT(message(parts), HasSubstr("is missing")) << name;
  }
}

TEST(Checkpoint, OpensTheOnlyGgufModelOfAFolder) {
  const TemporaryFolder folder;
  EXPECT_EQ(Checkpoint::open(folder.path()).error().fault, Fault::kNotFound);
  EXPECT_EQ(Checkpoint::open(folder.path() / "absent").error().fault, Fault::kNotFound);
  const std::vector<uint8_t> model = tiny_llama().tensor("blk.0.attn_v.weight", {8, 4}).finish();
  folder.write("m.gguf", model);
  folder.write("mmproj-m.gguf", GgufTestWriter().finish());
  folder.write("other-00002-of-00002.gguf", GgufTestWriter().finish());
  const auto checkpoint = opened(folder.path());
  ASSERT_TRUE(checkpoint);
  EXPECT_EQ(checkpoint->format(), "GGUF");
  folder.write("n.gguf", model);
  EXPECT_THAT(Checkpoint::open(folder.path()).error().message, HasSubstr("2 GGUF models"));
}

TEST(Checkpoint, AnUnknownArchitectureIsRefusedButTokenizes) {
  const TemporaryFolder folder;
  const auto path = folder.write("m.gguf", GgufTestWriter()
                                               .text("general.architecture", "starcoder9")
                                               .text("tokenizer.ggml.model", "gpt2")
                                               .text("tokenizer.ggml.pre", "gpt-2")
                                               .texts("tokenizer.ggml.tokens", {"a", "b", "ab"})
                                               .texts("tokenizer.ggml.merges", {"a b"})
                                               .finish());
  EXPECT_THAT(Checkpoint::open(path).error().message, HasSubstr("starcoder9"));
  const auto checkpoint = opened(path, kVocabulary);
  ASSERT_TRUE(checkpoint);
  EXPECT_FALSE(checkpoint->has_config());
  const auto vocabulary = checkpoint->vocabulary();
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  EXPECT_THAT(vocabulary->tokens, ElementsAre("a", "b", "ab"));
}

// --- conformance models -------------------------------------------------------------------------

struct Form {
  const char* model;
  const char* path;  // below the model's folder
};

void PrintTo(const Form& form, std::ostream* out) {
  *out << form.model << "/" << form.path;
}

class CheckpointConformance : public ::testing::TestWithParam<Form> {
 protected:
  std::filesystem::path folder() const { return conformance_data("models") / GetParam().model; }
  void SetUp() override {
    if (!std::filesystem::exists(folder())) GTEST_SKIP() << "no conformance model at " << folder();
  }
};

TEST_P(CheckpointConformance, EncodesTheGoldenTokens) {
  const auto checkpoint = opened(folder() / GetParam().path, kVocabulary);
  ASSERT_TRUE(checkpoint);
  const auto tokenizer = tokenizer_of(*checkpoint);
  ASSERT_TRUE(tokenizer);
  const auto golden = read_json_object(folder() / "golden.json");
  ASSERT_TRUE(golden) << golden.error().message;
  int count = 0;
  for (const auto& item : golden->at("prompts").as_array()) {
    const auto& prompt = item.as_object();
    const char* key = prompt.contains("token_ids") ? "token_ids" : "encoder_token_ids";
    std::vector<TokenId> expected;
    for (const auto& id : prompt.at(key).as_array()) {
      expected.push_back(static_cast<TokenId>(id.as_int64()));
    }
    EXPECT_EQ(tokenizer->encode(std::string_view(prompt.at("text").as_string())), expected);
    ++count;
  }
  EXPECT_EQ(count, 3);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, CheckpointConformance,
    ::testing::Values(
        Form{"llama", "hf"}, Form{"llama", "model-f32.gguf"}, Form{"llama", "hf-bf16"},
        Form{"llama", "model-BF16.gguf"}, Form{"qwen2", "hf"}, Form{"qwen2", "model-f32.gguf"},
        Form{"gemma3", "hf"}, Form{"gemma3", "model-f32.gguf"}, Form{"gemma2", "hf"},
        Form{"gemma2", "model-f32.gguf"}, Form{"mistral", "hf"}, Form{"mixtral", "hf"},
        Form{"mixtral", "model-f32.gguf"}, Form{"olmo2", "hf"}, Form{"olmo2", "model-f32.gguf"},
        Form{"phi", "hf"}, Form{"phi", "model-f32.gguf"}, Form{"phi3", "hf"},
        Form{"phi3", "model-f32.gguf"}, Form{"qwen3", "hf"}, Form{"qwen3", "model-f32.gguf"},
        Form{"qwen3moe", "hf"}, Form{"qwen3moe", "model-f32.gguf"}, Form{"gptoss", "hf"},
        Form{"gptoss-truncated", "hf"}, Form{"gptoss-truncated", "model-f32.gguf"},
        Form{"gptoss-mxfp4", "hf"}, Form{"gptoss-mxfp4", "model-mxfp4.gguf"}, Form{"gpt2", "hf"},
        Form{"gpt2", "model-f32.gguf"}, Form{"bert", "hf"}, Form{"bert", "model-f32.gguf"},
        Form{"t5", "hf"}));

class CheckpointTwins : public ::testing::TestWithParam<const char*> {};

// The rows of a matrix that the converter to GGUF permuted, for one head of width E: row 2i is i,
// row 2i + 1 is i + E / 2.
std::vector<uint8_t> unpermuted(const Tensor& tensor, int head_width) {
  const size_t row_bytes = tensor.bytes / static_cast<size_t>(tensor.shape[0]);
  std::vector<uint8_t> rows(tensor.bytes);
  for (int64_t row = 0; row < tensor.shape[0]; ++row) {
    const int64_t head = row / head_width * head_width;
    const int64_t within = row % head_width;
    const int64_t target = head + within / 2 + (within % 2) * (head_width / 2);
    std::memcpy(rows.data() + static_cast<size_t>(target) * row_bytes,
                tensor.data + static_cast<size_t>(row) * row_bytes, row_bytes);
  }
  return rows;
}

TEST_P(CheckpointTwins, FolderAndGgufAreTheSameModel) {
  const std::filesystem::path folder = conformance_data("models") / GetParam();
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no conformance model at " << folder;
  const auto hub = opened(folder / "hf");
  const auto gguf = opened(folder / "model-f32.gguf");
  ASSERT_TRUE(hub && gguf);
  const ModelConfig& a = hub->config();
  const ModelConfig& b = gguf->config();
  EXPECT_EQ(a.architecture, b.architecture);
  EXPECT_EQ(a.vocab_size, b.vocab_size);
  EXPECT_EQ(a.context_length, b.context_length);
  EXPECT_EQ(a.layer_count, b.layer_count);
  EXPECT_EQ(a.width, b.width);
  EXPECT_EQ(a.head_count, b.head_count);
  EXPECT_EQ(a.kv_head_count, b.kv_head_count);
  EXPECT_EQ(a.head_width, b.head_width);
  EXPECT_EQ(a.feed_forward_width, b.feed_forward_width);
  EXPECT_EQ(a.rms_norm_eps, b.rms_norm_eps);
  EXPECT_EQ(a.rope_width, b.rope_width);
  EXPECT_EQ(a.rope_base, b.rope_base);
  EXPECT_EQ(a.rope_base_local, b.rope_base_local);
  EXPECT_EQ(a.sliding_window, b.sliding_window);
  EXPECT_EQ(a.layer_is_local, b.layer_is_local);
  EXPECT_EQ(a.attention_scale, b.attention_scale);
  EXPECT_EQ(a.attention_softcap, b.attention_softcap);
  EXPECT_EQ(a.final_softcap, b.final_softcap);
  EXPECT_EQ(a.embedding_scale, b.embedding_scale);
  EXPECT_EQ(a.activation, b.activation);
  EXPECT_EQ(a.has_tied_embeddings, b.has_tied_embeddings);
  EXPECT_EQ(a.has_qkv_bias, b.has_qkv_bias);
  EXPECT_EQ(a.has_attention_output_bias, b.has_attention_output_bias);
  EXPECT_EQ(a.has_qk_norm, b.has_qk_norm);
  EXPECT_EQ(a.has_post_norms, b.has_post_norms);
  EXPECT_EQ(hub->chat_template(), gguf->chat_template());
  EXPECT_EQ(hub->format(), "safetensors");
  EXPECT_EQ(hub->name(), "hf");

  int compared = 0;
  const auto file = Gguf::open(folder / "model-f32.gguf");
  ASSERT_TRUE(file);
  for (const Tensor& tensor : file->tensors()) {
    if (tensor.name == "rope_freqs.weight") continue;
    SCOPED_TRACE(tensor.name);
    const Result<Tensor> twin = hub->tensor(tensor.name);
    ASSERT_TRUE(twin) << twin.error().message;
    EXPECT_EQ(twin->shape, tensor.shape);
    ASSERT_EQ(twin->type, kernel::TensorType::kF32);
    std::vector<uint8_t> bytes(tensor.data, tensor.data + tensor.bytes);
    const bool is_rotated = tensor.name.find("attn_q.weight") != std::string::npos ||
                            tensor.name.find("attn_k.weight") != std::string::npos;
    if (is_rotated && b.rope_layout == RopeLayout::kInterleaved) {
      bytes = unpermuted(tensor, b.head_width);
    }
    std::vector<float> values(bytes.size() / 4), others(twin->bytes / 4);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    std::memcpy(others.data(), twin->data, twin->bytes);
    if (tensor.name.find("norm") != std::string::npos) {
      for (float& value : others)
        value += a.norm_weight_offset;
    }
    EXPECT_EQ(values, others);
    ++compared;
  }
  EXPECT_EQ(gguf->facts().tensor_count, compared + gguf->has("rope_freqs.weight"));
  EXPECT_EQ(hub->facts().tensor_count, compared);
}

INSTANTIATE_TEST_SUITE_P(Models, CheckpointTwins,
                         ::testing::Values("llama", "qwen2", "qwen3", "gemma2", "gemma3"));

// The experts' tensors of both forms hold the same values.
class CheckpointExperts : public ::testing::TestWithParam<Form> {};

TEST_P(CheckpointExperts, FolderAndGgufHoldTheSame) {
  const std::filesystem::path folder = conformance_data("models") / GetParam().model;
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no conformance model at " << folder;
  const auto hub = opened(folder / "hf");
  const auto gguf = opened(folder / GetParam().path);
  ASSERT_TRUE(hub && gguf);
  const ModelConfig& a = hub->config();
  const ModelConfig& b = gguf->config();
  EXPECT_EQ(a.architecture, b.architecture);
  EXPECT_EQ(a.expert_count, b.expert_count);
  EXPECT_EQ(a.expert_used_count, b.expert_used_count);
  EXPECT_EQ(a.expert_width, b.expert_width);
  EXPECT_EQ(a.expert_weighting, b.expert_weighting);
  EXPECT_EQ(a.layer_has_experts, b.layer_has_experts);
  EXPECT_EQ(a.layer_is_local, b.layer_is_local);
  EXPECT_EQ(a.activation, b.activation);
  EXPECT_EQ(a.has_expert_biases, b.has_expert_biases);
  std::vector<std::string> vectors = {"blk.1.ffn_norm.weight"};
  if (a.has_attention_sinks) vectors.emplace_back("blk.1.attn_sinks.weight");
  std::vector<std::string> matrices = {"blk.1.ffn_gate_inp"};
  for (int expert = 0; expert < a.expert_count; ++expert) {
    for (const char* part : {"gate", "up", "down"})
      matrices.push_back(fmt::format("blk.1.ffn_{}.{}", part, expert));
  }
  for (const std::string& name : matrices) {
    const auto one = hub->matrix(name + ".weight"), other = gguf->matrix(name + ".weight");
    ASSERT_TRUE(one && other) << name;
    const kernel::PackedMatrix& shape = (*one)->shape();
    std::vector<float> values(static_cast<size_t>(shape.n * shape.k)), others(values.size());
    (*one)->read({0, shape.n}, values.data());
    (*other)->read({0, shape.n}, others.data());
    EXPECT_EQ(values, others) << name;
    EXPECT_EQ(hub->has(name + ".bias"), a.has_expert_biases) << name;
    if (a.has_expert_biases) vectors.push_back(name + ".bias");
  }
  for (const std::string& name : vectors) {
    const auto one = hub->floats(name), other = gguf->floats(name);
    ASSERT_TRUE(one && other) << name;
    EXPECT_EQ(*one, *other) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, CheckpointExperts,
                         ::testing::Values(Form{"mixtral", "model-f32.gguf"},
                                           Form{"qwen3moe", "model-f32.gguf"},
                                           Form{"gptoss-truncated", "model-f32.gguf"},
                                           Form{"gptoss-mxfp4", "model-mxfp4.gguf"}));

// --- vocabularies of real models ----------------------------------------------------------------

class CheckpointTokenizers : public ::testing::TestWithParam<const char*> {};

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::string> parts_of(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end; (end = text.find(separator, begin)) != std::string::npos;) {
    parts.push_back(text.substr(begin, end - begin));
    begin = end + separator.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

TEST_P(CheckpointTokenizers, AGgufWithoutTensorsTokenizes) {
  const std::filesystem::path path = conformance_data("tokenizers") / GetParam();
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no vocabulary at " << path;
  const auto checkpoint = opened(path, kVocabulary);
  ASSERT_TRUE(checkpoint);
  const auto tokenizer = tokenizer_of(*checkpoint);
  ASSERT_TRUE(tokenizer);
  const std::vector<std::string> texts =
      parts_of(contents(path.string() + ".inp"), "\n__ggml_vocab_test__\n");
  const std::vector<std::string> lines = parts_of(contents(path.string() + ".out"), "\n");
  ASSERT_GE(lines.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    std::string ids;
    for (const TokenId id : tokenizer->encode(texts[i], {.add_special = false})) {
      ids += fmt::format(" {}", id);
    }
    EXPECT_EQ(ids, lines[i]) << texts[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Files, CheckpointTokenizers,
                         ::testing::Values("bert-bge.gguf", "deepseek-llm.gguf", "gpt-2.gguf",
                                           "llama-spm.gguf", "phi-3.gguf", "starcoder.gguf"));

TEST(CheckpointRealModels, PublishedFilesOpen) {
  const std::filesystem::path folder = model_cache();
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no published models at " << folder;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    SCOPED_TRACE(entry.path());
    const auto checkpoint = opened(entry.path());
    ASSERT_TRUE(checkpoint);
    EXPECT_GT(checkpoint->facts().parameter_count, 100'000'000);
    const auto vocabulary = checkpoint->vocabulary();
    ASSERT_TRUE(vocabulary) << vocabulary.error().message;
    EXPECT_LE(vocabulary->tokens.size(), static_cast<size_t>(checkpoint->config().vocab_size));
  }
}

}  // namespace
}  // namespace inferno::model
