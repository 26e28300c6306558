// ModelConfig from the keys of a GGUF file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "model/config.h"
#include "model/gguf_test_writer.h"

namespace inferno::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Change = std::function<void(GgufTestWriter&)>;

// The configuration of a file with an architecture's keys and whatever `change` adds. Keys in
// `without` are left out.
Result<ModelConfig> gguf(std::string_view architecture, const Change& change,
                         std::string_view without = "") {
  GgufTestWriter writer;
  writer.text("general.architecture", architecture);
  const std::string prefix = std::string(architecture) + ".";
  constexpr std::pair<const char*, uint32_t> kNumbers[] = {{"context_length", 512},
                                                           {"block_count", 7},
                                                           {"embedding_length", 64},
                                                           {"feed_forward_length", 96},
                                                           {"attention.head_count", 4}};
  for (const auto& [key, value] : kNumbers) {
    if (key != without) writer.u32(prefix + key, value);
  }
  writer.f32(prefix + "attention.layer_norm_rms_epsilon", 1e-6f);
  writer.tensor("token_embd.weight", {64, 11});
  change(writer);
  const std::vector<uint8_t> bytes = writer.finish();
  const Result<Gguf> file = Gguf::parse(bytes, "file");
  if (!file) return std::unexpected(file.error());
  return config_from_gguf(*file);
}

void unchanged(GgufTestWriter&) {}

TEST(ConfigGguf, KnowsTheDefaultsOfAbsentKeys) {
  const Result<ModelConfig> config = gguf("llama", unchanged);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->kv_head_count, 4);
  EXPECT_EQ(config->head_width, 16);
  EXPECT_EQ(config->rope_width, 16);
  EXPECT_EQ(config->rope_base, 10000.0f);
  EXPECT_EQ(config->rope_layout, RopeLayout::kInterleaved);
  EXPECT_EQ(config->vocab_size, 11);
  EXPECT_TRUE(config->has_tied_embeddings);
  EXPECT_FALSE(config->has_qkv_bias);
  EXPECT_EQ(config->norm_weight_offset, 0.0f);
  const Result<ModelConfig> untied =
      gguf("llama", [](GgufTestWriter& w) { w.tensor("output.weight", {64, 11}); });
  ASSERT_TRUE(untied);
  EXPECT_FALSE(untied->has_tied_embeddings);
}

TEST(ConfigGguf, Gemma3HasAWindowOnFiveLayersOfSix) {
  const Result<ModelConfig> config =
      gguf("gemma3", [](GgufTestWriter& w) { w.u32("gemma3.attention.sliding_window", 48); });
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_THAT(config->layer_is_local, ElementsAre(1, 1, 1, 1, 1, 0, 1));
  EXPECT_EQ(config->rope_base_local, 10000.0f);
  EXPECT_EQ(config->rope_layout, RopeLayout::kHalves);
  EXPECT_EQ(config->embedding_scale, 8.0f);
  EXPECT_EQ(config->attention_scale, 0.25f);
  EXPECT_TRUE(config->is_local(0));
  EXPECT_FALSE(config->is_local(5));
}

TEST(ConfigGguf, AWindowPatternMayBeAPeriodOrAList) {
  const Result<ModelConfig> period = gguf("gemma3", [](GgufTestWriter& w) {
    w.u32("gemma3.attention.sliding_window", 48).u32("gemma3.attention.sliding_window_pattern", 2);
  });
  ASSERT_TRUE(period) << period.error().message;
  EXPECT_THAT(period->layer_is_local, ElementsAre(1, 0, 1, 0, 1, 0, 1));
  const auto listed = [](const std::vector<uint8_t>& layers) {
    return gguf("gemma3", [&](GgufTestWriter& w) {
      w.u32("gemma3.attention.sliding_window", 48)
          .numbers<uint8_t>("gemma3.attention.sliding_window_pattern", GgufType::kBool, layers);
    });
  };
  EXPECT_THAT(listed({0, 0, 0, 0, 0, 0, 1})->layer_is_local, ElementsAre(0, 0, 0, 0, 0, 0, 1));
  EXPECT_THAT(listed({0, 1}).error().message, HasSubstr("2 layers"));
}

TEST(ConfigGguf, TheLargestGemma3ScalesByTheWidthOfTheModel) {
  const Result<ModelConfig> config = gguf(
      "gemma3",
      [](GgufTestWriter& w) {
        w.u32("gemma3.block_count", 62)
            .u32("gemma3.attention.key_length", 32)
            .u32("gemma3.attention.value_length", 32);
      },
      "block_count");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->attention_scale, 0.25f);  // D / H = 16, not E = 32
}

TEST(ConfigGguf, ReadsScaling) {
  const auto scaled = [](std::string_view type, float factor) {
    return gguf("llama", [&](GgufTestWriter& w) {
      w.text("llama.rope.scaling.type", type).f32("llama.rope.scaling.factor", factor);
    });
  };
  EXPECT_EQ(scaled("linear", 4.0f)->rope_scaling.kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(scaled("linear", 4.0f)->rope_scaling.factor, 4.0f);
  EXPECT_EQ(scaled("none", 4.0f)->rope_scaling.factor, 1.0f);
  EXPECT_EQ(scaled("yarn", 4.0f)->rope_scaling.original_context, 512);
  EXPECT_NEAR(scaled("yarn", 4.0f)->rope_scaling.attention_factor, 0.1 * std::log(4.0) + 1.0, 1e-6);
  EXPECT_THAT(scaled("longrope", 4.0f).error().message, HasSubstr("longrope"));
  const Result<ModelConfig> old_key =
      gguf("llama", [](GgufTestWriter& w) { w.f32("llama.rope.scale_linear", 2.0f); });
  ASSERT_TRUE(old_key) << old_key.error().message;
  EXPECT_EQ(old_key->rope_scaling.kind, RopeScaling::Kind::kLinear);
}

TEST(ConfigGguf, OneValuePerLayerMustBeTheSameInAll) {
  const auto with = [](const std::vector<uint32_t>& heads) {
    return gguf("llama", [&](GgufTestWriter& w) {
      w.numbers("llama.attention.head_count_kv", GgufType::kU32, heads);
    });
  };
  EXPECT_EQ(with({2, 2, 2, 2, 2, 2, 2})->kv_head_count, 2);
  EXPECT_THAT(with({2, 2, 4, 2, 2, 2, 2}).error().message, HasSubstr("head_count_kv"));
  EXPECT_THAT(with({}).error().message, HasSubstr("empty"));
}

TEST(ConfigGguf, NamesWhatItRefuses) {
  const auto message = [](std::string_view architecture, const Change& change,
                          std::string_view without = "") {
    const Result<ModelConfig> config = gguf(architecture, change, without);
    return config ? std::string("accepted") : config.error().message;
  };
  EXPECT_THAT(message("mamba", unchanged), HasSubstr("'mamba'"));
  for (const char* key : {"context_length", "block_count", "embedding_length",
                          "feed_forward_length", "attention.head_count"}) {
    EXPECT_THAT(message("llama", unchanged, key),
                HasSubstr(fmt::format("'llama.{}' is missing", key)));
    const auto with = [&](uint32_t value) {
      return message(
          "llama", [&](GgufTestWriter& w) { w.u32(fmt::format("llama.{}", key), value); }, key);
    };
    EXPECT_THAT(with(0), HasSubstr(key));
    EXPECT_THAT(with(~0u), HasSubstr("4294967295"));
  }
  const auto with = [&](const char* key, uint32_t value) {
    return message("llama", [&](GgufTestWriter& w) { w.u32(fmt::format("llama.{}", key), value); });
  };
  EXPECT_THAT(message("qwen2", [](GgufTestWriter& w) { w.u32("qwen2.expert_count", 8); }),
              HasSubstr("'qwen2.expert_count' is 8: mixtures of experts are not supported"));
  EXPECT_THAT(with("attention.head_count_kv", 3), HasSubstr("multiple of 3"));
  EXPECT_THAT(with("attention.key_length", 15), HasSubstr("even"));
  EXPECT_THAT(with("attention.value_length", 8), HasSubstr("value_length"));
  EXPECT_THAT(with("rope.dimension_count", 18), HasSubstr("rotary width is 18"));
  EXPECT_THAT(with("rope.dimension_count", 7), HasSubstr("even"));
  EXPECT_THAT(with("rope.freq_base", 10000), HasSubstr("float"));
  const auto with_float = [&](const char* key, float value) {
    return message("llama", [&](GgufTestWriter& w) { w.f32(fmt::format("llama.{}", key), value); });
  };
  EXPECT_THAT(with_float("rope.freq_base", NAN), HasSubstr("freq_base"));
  EXPECT_THAT(with_float("rope.freq_base", INFINITY), HasSubstr("freq_base"));
  EXPECT_THAT(with_float("rope.scaling.factor", -1.0f), HasSubstr("factor"));
  EXPECT_THAT(with_float("attn_logit_softcapping", -1.0f), HasSubstr("softcapping"));
}

TEST(ConfigGguf, ReadsExperts) {
  const Result<ModelConfig> mixtral = gguf("llama", [](GgufTestWriter& w) {
    w.u32("llama.expert_count", 8).u32("llama.expert_used_count", 2);
  });
  ASSERT_TRUE(mixtral) << mixtral.error().message;
  EXPECT_EQ(mixtral->expert_count, 8);
  EXPECT_EQ(mixtral->expert_used_count, 2);
  EXPECT_EQ(mixtral->expert_width, mixtral->feed_forward_width);
  EXPECT_EQ(mixtral->expert_weighting, ExpertWeighting::kOfChosen);
  EXPECT_FALSE(mixtral->has_dense_layer());
  const Result<ModelConfig> dense = gguf("llama", unchanged);
  ASSERT_TRUE(dense);
  EXPECT_EQ(dense->expert_count, 0);
  EXPECT_FALSE(dense->has_experts(0));
  EXPECT_TRUE(dense->has_dense_layer());
}

TEST(ConfigGguf, ReadsGptOss) {
  const auto read = [](uint32_t gating) {
    return gguf("gpt-oss", [&](GgufTestWriter& w) {
      w.u32("gpt-oss.expert_count", 8)
          .u32("gpt-oss.expert_used_count", 2)
          .u32("gpt-oss.expert_feed_forward_length", 48)
          .u32("gpt-oss.expert_gating_func", gating)
          .u32("gpt-oss.attention.sliding_window", 48)
          .tensor("blk.0.attn_q.bias", {64});
    });
  };
  constexpr uint32_t kSoftmaxOfChosen = 3;
  const Result<ModelConfig> config = read(kSoftmaxOfChosen);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->architecture, Architecture::kGptOss);
  EXPECT_EQ(config->expert_width, 48);
  EXPECT_EQ(config->expert_weighting, ExpertWeighting::kOfChosen);
  EXPECT_THAT(config->layer_is_local, ElementsAre(1, 0, 1, 0, 1, 0, 1));
  EXPECT_EQ(config->rope_layout, RopeLayout::kHalves);
  EXPECT_EQ(config->activation, Activation::kClampedSwiglu);
  EXPECT_TRUE(config->has_attention_sinks && config->has_expert_biases && config->has_qkv_bias);
  EXPECT_FALSE(config->has_attention_output_bias);
  EXPECT_THAT(read(2).error().message, HasSubstr("expert_gating_func' is 2"));
  EXPECT_THAT(gguf("gpt-oss", unchanged).error().message,
              HasSubstr("'gpt-oss.expert_count' is missing"));
}

TEST(ConfigGguf, NamesWhatItRefusesOfExperts) {
  const auto message = [](std::string_view architecture, const Change& change) {
    const Result<ModelConfig> config = gguf(architecture, change);
    return config ? std::string("accepted") : config.error().message;
  };
  const auto with_counts = [&](uint32_t count, uint32_t used) {
    return message("llama", [&](GgufTestWriter& w) {
      w.u32("llama.expert_count", count).u32("llama.expert_used_count", used);
    });
  };
  EXPECT_EQ(with_counts(1024, 64), "accepted");
  EXPECT_THAT(with_counts(1025, 2), HasSubstr("expert_count' is 1025, must be from 0 to 1024"));
  EXPECT_THAT(with_counts(~0u, 2), HasSubstr("expert_count' is 4294967295"));
  EXPECT_THAT(with_counts(8, 0), HasSubstr("expert_used_count' is 0, must be from 1 to 8"));
  EXPECT_THAT(with_counts(8, 9), HasSubstr("expert_used_count' is 9, must be from 1 to 8"));
  EXPECT_THAT(with_counts(1024, 65), HasSubstr("expert_used_count' is 65, must be from 1 to 64"));
  EXPECT_THAT(message("llama", [](GgufTestWriter& w) { w.u32("llama.expert_count", 8); }),
              HasSubstr("expert_used_count' is missing"));
  EXPECT_THAT(message("qwen3moe", unchanged), HasSubstr("'qwen3moe.expert_count' is missing"));
  const auto with = [&](const Change& change) {
    return message("llama", [&](GgufTestWriter& w) {
      w.u32("llama.expert_count", 8).u32("llama.expert_used_count", 2);
      change(w);
    });
  };
  EXPECT_THAT(with([](GgufTestWriter& w) { w.u32("llama.expert_gating_func", 2); }),
              HasSubstr("expert_gating_func' is 2, 1 (softmax) is supported"));
  EXPECT_THAT(with([](GgufTestWriter& w) { w.u32("llama.expert_shared_count", 1); }),
              HasSubstr("expert_shared_count"));
  EXPECT_THAT(with([](GgufTestWriter& w) { w.u32("llama.expert_group_count", 2); }),
              HasSubstr("expert_group_count"));
  EXPECT_THAT(with([](GgufTestWriter& w) { w.f32("llama.expert_weights_scale", 2.5f); }),
              HasSubstr("expert_weights_scale"));
  EXPECT_THAT(with([](GgufTestWriter& w) { w.u32("llama.expert_feed_forward_length", 0); }),
              HasSubstr("expert_feed_forward_length"));
}

TEST(ConfigGguf, NeedsAnEmbedding) {
  const std::vector<uint8_t> bytes = GgufTestWriter()
                                         .text("general.architecture", "llama")
                                         .u32("llama.context_length", 8)
                                         .u32("llama.block_count", 1)
                                         .u32("llama.embedding_length", 8)
                                         .u32("llama.feed_forward_length", 8)
                                         .u32("llama.attention.head_count", 1)
                                         .f32("llama.attention.layer_norm_rms_epsilon", 0.0f)
                                         .finish();
  const Result<Gguf> file = Gguf::parse(bytes, "file");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT(config_from_gguf(*file).error().message, HasSubstr("token_embd.weight"));
}

}  // namespace
}  // namespace inferno::model
