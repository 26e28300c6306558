#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/value.hpp>
#include <cmath>

#include "model/json_file.h"

namespace inferno::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A JSON object with `changes` laid over `base`; a change to null removes nothing: null is a value.
boost::json::object merged(std::string_view base, std::string_view changes) {
  boost::json::object object = parse_json_object(base, "base").value();
  const boost::json::object over = parse_json_object(changes, "changes").value();
  for (const auto& member : over)
    object[member.key()] = member.value();
  return object;
}

constexpr std::string_view kLlama = R"({"model_type":"llama","vocab_size":1000,"hidden_size":64,
  "intermediate_size":160,"num_hidden_layers":3,"num_attention_heads":4,"num_key_value_heads":2,
  "max_position_embeddings":512,"rms_norm_eps":1e-5,"rope_theta":500000.0})";

constexpr std::string_view kGemma3 =
    R"({"model_type":"gemma3_text","hidden_size":64,"intermediate_size":96,
  "num_hidden_layers":7,"sliding_window":48})";

Result<ModelConfig> llama(std::string_view changes = "{}") {
  return config_from_json(merged(kLlama, changes), "config.json");
}

Result<ModelConfig> gemma3(std::string_view changes = "{}") {
  return config_from_json(merged(kGemma3, changes), "config.json");
}

TEST(ConfigJson, ReadsLlama) {
  const Result<ModelConfig> config = llama();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->architecture, Architecture::kLlama);
  EXPECT_EQ(config->vocab_size, 1000);
  EXPECT_EQ(config->head_width, 16);
  EXPECT_EQ(config->rope_width, 16);
  EXPECT_EQ(config->rope_base, 500000.0f);
  EXPECT_EQ(config->rope_base_local, 500000.0f);
  EXPECT_EQ(config->rope_layout, RopeLayout::kHalves);
  EXPECT_EQ(config->rope_scaling.kind, RopeScaling::Kind::kNone);
  EXPECT_EQ(config->attention_scale, 0.25f);
  EXPECT_EQ(config->sliding_window, 0);
  EXPECT_THAT(config->layer_is_local, ElementsAre(0, 0, 0));
  EXPECT_EQ(config->activation, Activation::kSilu);
  EXPECT_EQ(config->embedding_scale, 1.0f);
  EXPECT_EQ(config->norm_weight_offset, 0.0f);
  EXPECT_FALSE(config->has_tied_embeddings);
  EXPECT_FALSE(config->has_qkv_bias);
}

TEST(ConfigJson, BothSpellingsOfRopeAreTheSame) {
  const std::string numbers = R"("factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
    "original_max_position_embeddings":64)";
  const Result<ModelConfig> old_spelling =
      llama(R"({"rope_theta":7e5,"rope_scaling":{"rope_type":"llama3",)" + numbers + "}}");
  const Result<ModelConfig> recent = config_from_json(
      merged(R"({"model_type":"llama","vocab_size":1000,"hidden_size":64,"intermediate_size":160,
        "num_hidden_layers":3,"num_attention_heads":4,"max_position_embeddings":512})",
             R"({"rope_parameters":{"rope_theta":7e5,"rope_type":"llama3",)" + numbers + "}}"),
      "config.json");
  for (const Result<ModelConfig>& config : {old_spelling, recent}) {
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->rope_base, 7e5f);
    EXPECT_EQ(config->rope_scaling.kind, RopeScaling::Kind::kLlama3);
    EXPECT_EQ(config->rope_scaling.factor, 8.0f);
    EXPECT_EQ(config->rope_scaling.low_freq_factor, 1.0f);
    EXPECT_EQ(config->rope_scaling.high_freq_factor, 4.0f);
    EXPECT_EQ(config->rope_scaling.original_context, 64);
  }
}

TEST(ConfigJson, ReadsLinearAndYarnScaling) {
  const Result<ModelConfig> linear = llama(R"({"rope_scaling":{"type":"linear","factor":4}})");
  ASSERT_TRUE(linear) << linear.error().message;
  EXPECT_EQ(linear->rope_scaling.kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(linear->rope_scaling.factor, 4.0f);
  const Result<ModelConfig> yarn = llama(
      R"({"rope_scaling":{"rope_type":"yarn","factor":8.0,"truncate":false,"beta_fast":16,
      "original_max_position_embeddings":128}})");
  ASSERT_TRUE(yarn) << yarn.error().message;
  EXPECT_EQ(yarn->rope_scaling.kind, RopeScaling::Kind::kYarn);
  EXPECT_EQ(yarn->rope_scaling.beta_fast, 16.0f);
  EXPECT_EQ(yarn->rope_scaling.original_context, 128);
  EXPECT_FALSE(yarn->rope_scaling.truncates);
  EXPECT_NEAR(yarn->rope_scaling.attention_factor, 0.1 * std::log(8.0) + 1.0, 1e-6);
}

constexpr std::string_view kQwen3Moe =
    R"({"model_type":"qwen3_moe","vocab_size":1000,"hidden_size":64,"intermediate_size":160,
  "num_hidden_layers":4,"num_attention_heads":4,"max_position_embeddings":512,"head_dim":16,
  "num_experts":16,"num_experts_per_tok":4,"moe_intermediate_size":32})";

Result<ModelConfig> qwen3_moe(std::string_view changes = "{}") {
  return config_from_json(merged(kQwen3Moe, changes), "config.json");
}

TEST(ConfigJson, ReadsMixtral) {
  const Result<ModelConfig> config =
      llama(R"({"model_type":"mixtral","num_local_experts":4,"num_experts_per_tok":3})");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->architecture, Architecture::kLlama);
  EXPECT_EQ(config->expert_count, 4);
  EXPECT_EQ(config->expert_used_count, 3);
  EXPECT_EQ(config->expert_width, 160);
  EXPECT_EQ(config->expert_weighting, ExpertWeighting::kOfChosen);
  EXPECT_FALSE(config->has_dense_layer());
  EXPECT_EQ(config->sliding_window, 0);
  const Result<ModelConfig> defaults = llama(R"({"model_type":"mixtral","sliding_window":128})");
  ASSERT_TRUE(defaults) << defaults.error().message;
  EXPECT_EQ(defaults->expert_count, 8);
  EXPECT_EQ(defaults->expert_used_count, 2);
  EXPECT_EQ(defaults->sliding_window, 128);
  EXPECT_THAT(defaults->layer_is_local, ElementsAre(1, 1, 1));
}

TEST(ConfigJson, Qwen3MoeMayHaveLayersWithoutExperts) {
  const Result<ModelConfig> config = qwen3_moe();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->architecture, Architecture::kQwen3Moe);
  EXPECT_EQ(config->expert_count, 16);
  EXPECT_EQ(config->expert_used_count, 4);
  EXPECT_EQ(config->expert_width, 32);
  EXPECT_EQ(config->feed_forward_width, 160);
  EXPECT_EQ(config->expert_weighting, ExpertWeighting::kOfAll);
  EXPECT_TRUE(config->has_qk_norm);
  EXPECT_THAT(config->layer_has_experts, ElementsAre(1, 1, 1, 1));
  EXPECT_EQ(qwen3_moe(R"({"norm_topk_prob":true})")->expert_weighting, ExpertWeighting::kOfChosen);
  EXPECT_THAT(qwen3_moe(R"({"decoder_sparse_step":2})")->layer_has_experts,
              ElementsAre(0, 1, 0, 1));
  EXPECT_THAT(qwen3_moe(R"({"mlp_only_layers":[0, 3]})")->layer_has_experts,
              ElementsAre(0, 1, 1, 0));
}

TEST(ConfigJson, NamesWhatItRefusesOfExperts) {
  const auto message = [](std::string_view changes) {
    const Result<ModelConfig> config = qwen3_moe(changes);
    return config ? std::string("accepted") : config.error().message;
  };
  EXPECT_THAT(message(R"({"num_experts":0})"), HasSubstr("'num_experts' is 0"));
  EXPECT_THAT(message(R"({"num_experts":1025})"), HasSubstr("must be from 1 to 1024"));
  EXPECT_THAT(message(R"({"num_experts_per_tok":17})"),
              HasSubstr("'num_experts_per_tok' is 17, must be from 1 to 16"));
  EXPECT_THAT(message(R"({"num_experts_per_tok":-1})"), HasSubstr("'num_experts_per_tok' is -1"));
  EXPECT_THAT(message(R"({"moe_intermediate_size":0})"), HasSubstr("'moe_intermediate_size' is 0"));
  EXPECT_THAT(message(R"({"decoder_sparse_step":0})"), HasSubstr("'decoder_sparse_step' is 0"));
  EXPECT_THAT(message(R"({"mlp_only_layers":[4]})"), HasSubstr("no layer from 0 to 3"));
  EXPECT_THAT(message(R"({"mlp_only_layers":["a"]})"), HasSubstr("mlp_only_layers"));
  EXPECT_THAT(message(R"({"mlp_only_layers":3})"), HasSubstr("must be an array"));
}

TEST(ConfigJson, Gemma3LeansOnTheDefaultsOfItsClass) {
  const Result<ModelConfig> config = gemma3();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->vocab_size, 262'208);
  EXPECT_EQ(config->head_count, 8);
  EXPECT_EQ(config->kv_head_count, 4);
  EXPECT_EQ(config->head_width, 256);
  EXPECT_EQ(config->rope_base, 1e6f);
  EXPECT_EQ(config->rope_base_local, 1e4f);
  EXPECT_EQ(config->attention_scale, 1.0f / 16.0f);
  EXPECT_EQ(config->embedding_scale, 8.0f);
  EXPECT_EQ(config->norm_weight_offset, 1.0f);
  EXPECT_EQ(config->attention_softcap, 0.0f);
  EXPECT_EQ(config->activation, Activation::kGeluTanh);
  EXPECT_TRUE(config->has_tied_embeddings);
  EXPECT_TRUE(config->has_qk_norm);
  EXPECT_TRUE(config->has_post_norms);
  EXPECT_THAT(config->layer_is_local, ElementsAre(1, 1, 1, 1, 1, 0, 1));
}

TEST(ConfigJson, ReadsTheDecoderOfALargerModel) {
  const boost::json::object json = merged(
      R"({"model_type":"gemma3","tie_word_embeddings":false,"vision_config":{"hidden_size":1}})",
      fmt::format(R"({{"text_config":{}}})", kGemma3));
  const Result<ModelConfig> config = config_from_json(json, "config.json");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->architecture, Architecture::kGemma3);
  EXPECT_EQ(config->width, 64);
  EXPECT_FALSE(config->has_tied_embeddings);
}

TEST(ConfigJson, TwoKindsOfAttentionHaveRotationsOfTheirOwn) {
  const Result<ModelConfig> config = gemma3(R"({"rope_parameters":{
    "full_attention":{"rope_type":"linear","factor":8.0,"rope_theta":2e6},
    "sliding_attention":{"rope_type":"default","rope_theta":3e4}}})");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->rope_base, 2e6f);
  EXPECT_EQ(config->rope_base_local, 3e4f);
  EXPECT_EQ(config->rope_scaling.kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(config->rope_scaling.factor, 8.0f);
}

TEST(ConfigJson, WindowsFollowListPatternOrArchitecture) {
  const Result<ModelConfig> listed = gemma3(
      R"({"num_hidden_layers":3,
          "layer_types":["full_attention","sliding_attention","full_attention"]})");
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_THAT(listed->layer_is_local, ElementsAre(0, 1, 0));
  const Result<ModelConfig> pattern =
      gemma3(R"({"num_hidden_layers":4,"sliding_window_pattern":2})");
  ASSERT_TRUE(pattern) << pattern.error().message;
  EXPECT_THAT(pattern->layer_is_local, ElementsAre(1, 0, 1, 0));
  const Result<ModelConfig> mistral = llama(R"({"model_type":"mistral","sliding_window":48})");
  ASSERT_TRUE(mistral) << mistral.error().message;
  EXPECT_EQ(mistral->sliding_window, 48);
  EXPECT_THAT(mistral->layer_is_local, ElementsAre(1, 1, 1));
  EXPECT_EQ(llama(R"({"model_type":"mistral"})")->sliding_window, 4096);
  EXPECT_EQ(llama(R"({"model_type":"mistral","sliding_window":null})")->sliding_window, 0);
  EXPECT_EQ(llama(R"({"sliding_window":48})")->sliding_window, 0);  // Llama's class has no window
}

TEST(ConfigJson, Qwen2HasAWindowOnlyWhenItSaysSo) {
  const auto qwen2 = [](std::string_view changes) {
    boost::json::object json = merged(kLlama, R"({"model_type":"qwen2","sliding_window":512})");
    const boost::json::object over = parse_json_object(changes, "changes").value();
    for (const auto& member : over)
      json[member.key()] = member.value();
    return config_from_json(json, "config.json");
  };
  const Result<ModelConfig> off = qwen2(R"({"use_sliding_window":false})");
  ASSERT_TRUE(off) << off.error().message;
  EXPECT_EQ(off->sliding_window, 0);
  EXPECT_TRUE(off->has_qkv_bias);
  EXPECT_FALSE(off->has_attention_output_bias);
  const Result<ModelConfig> on = qwen2(R"({"use_sliding_window":true,"max_window_layers":2})");
  ASSERT_TRUE(on) << on.error().message;
  EXPECT_EQ(on->sliding_window, 512);
  EXPECT_THAT(on->layer_is_local, ElementsAre(0, 0, 1));
}

TEST(ConfigJson, NamesWhatItRefuses) {
  constexpr std::pair<std::string_view, std::string_view> kCases[] = {
      {R"({"model_type":"mamba"})", "model_type' is 'mamba'"},
      {R"({"model_type":null})", "model_type"},
      {R"({"model_type":7})", "model_type"},
      {R"({"vocab_size":0})", "vocab_size"},
      {R"({"vocab_size":5000000})", "4194304"},
      {R"({"vocab_size":"1000"})", "vocab_size"},
      {R"({"vocab_size":null})", "vocab_size' is missing"},
      {R"({"hidden_size":65537})", "65536"},
      {R"({"hidden_size":-64})", "hidden_size"},
      {R"({"hidden_size":64.5})", "hidden_size"},
      {R"({"hidden_size":1e300})", "hidden_size"},
      {R"({"hidden_size":66})", "head_dim"},
      {R"({"num_hidden_layers":0})", "num_hidden_layers"},
      {R"({"num_hidden_layers":1025})", "1024"},
      {R"({"num_attention_heads":0})", "num_attention_heads"},
      {R"({"num_attention_heads":1025,"head_dim":64})", "1024"},
      {R"({"num_key_value_heads":0})", "num_key_value_heads"},
      {R"({"num_key_value_heads":3})", "multiple of 3"},
      {R"({"num_key_value_heads":8})", "multiple of 8"},
      {R"({"head_dim":15})", "even"},
      {R"({"head_dim":1026})", "1024"},
      {R"({"num_attention_heads":1024,"num_key_value_heads":1,"head_dim":1024})", "65536"},
      {R"({"intermediate_size":0})", "intermediate_size"},
      {R"({"max_position_embeddings":0})", "max_position_embeddings"},
      {R"({"max_position_embeddings":1000000000})", "134217728"},
      {R"({"rms_norm_eps":-1e-5})", "rms_norm_eps"},
      {R"({"rope_theta":0})", "rope_theta"},
      {R"({"rope_theta":[1]})", "rope_theta"},
      {R"({"partial_rotary_factor":0.01})", "rotary width"},
      {R"({"partial_rotary_factor":2})", "partial_rotary_factor"},
      {R"({"rope_scaling":{"rope_type":"longrope"}})", "rope_scaling.rope_type' is 'longrope'"},
      {R"({"rope_scaling":{"type":"dynamic","factor":2}})", "rope_scaling.type' is 'dynamic'"},
      {R"({"rope_scaling":{"type":"linear"}})", "rope_scaling.factor' is missing"},
      {R"({"rope_scaling":{"type":"linear","factor":0}})", "rope_scaling.factor"},
      {R"({"rope_scaling":{"rope_type":"llama3","factor":8}})", "low_freq_factor"},
      {R"({"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":1,
        "original_max_position_embeddings":64}})",
       "high_freq_factor"},
      {R"({"hidden_act":"relu"})", "hidden_act' is 'relu'"},
      {R"({"mlp_bias":true})", "mlp_bias"},
      {R"({"attention_bias":1})", "attention_bias"},
      {R"({"quantization_config":{"quant_method":"gptq"}})", "quantization_config"},
  };
  for (const auto& [changes, detail] : kCases) {
    SCOPED_TRACE(changes);
    const Result<ModelConfig> config = llama(changes);
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().fault, Fault::kInvalid);
    EXPECT_THAT(config.error().message, HasSubstr("config.json"));
    EXPECT_THAT(config.error().message, HasSubstr(std::string(detail)));
  }
  EXPECT_THAT(gemma3(R"({"layer_types":["full_attention"]})").error().message,
              HasSubstr("layer_types"));
  EXPECT_THAT(gemma3(R"({"layer_types":[1,2,3,4,5,6,7]})").error().message,
              HasSubstr("layer_types"));
  EXPECT_THAT(gemma3(R"({"query_pre_attn_scalar":0})").error().message,
              HasSubstr("query_pre_attn"));
}

constexpr std::string_view kGptOss = R"({"model_type":"gpt_oss","hidden_size":64,
  "intermediate_size":96,"num_hidden_layers":5})";

Result<ModelConfig> gpt_oss(std::string_view changes = "{}") {
  return config_from_json(merged(kGptOss, changes), "config.json");
}

TEST(ConfigJson, KnowsTheDefaultsOfGptOss) {
  const Result<ModelConfig> config = gpt_oss();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->architecture, Architecture::kGptOss);
  EXPECT_EQ(config->vocab_size, 201'088);
  EXPECT_EQ(config->context_length, 131'072);
  EXPECT_EQ(config->head_count, 64);
  EXPECT_EQ(config->kv_head_count, 8);
  EXPECT_EQ(config->head_width, 64);
  EXPECT_EQ(config->rms_norm_eps, 1e-5f);
  EXPECT_EQ(config->expert_count, 128);
  EXPECT_EQ(config->expert_used_count, 4);
  EXPECT_EQ(config->expert_width, 96);
  EXPECT_EQ(config->expert_weighting, ExpertWeighting::kOfChosen);
  EXPECT_FALSE(config->has_dense_layer());
  EXPECT_EQ(config->sliding_window, 128);
  EXPECT_THAT(config->layer_is_local, ElementsAre(1, 0, 1, 0, 1));
  EXPECT_EQ(config->rope_base, 150'000.0f);
  EXPECT_EQ(config->rope_base_local, 150'000.0f);
  EXPECT_EQ(config->rope_scaling.kind, RopeScaling::Kind::kYarn);
  EXPECT_EQ(config->rope_scaling.factor, 32.0f);
  EXPECT_EQ(config->rope_scaling.original_context, 4096);
  EXPECT_FALSE(config->rope_scaling.truncates);
  EXPECT_EQ(config->activation, Activation::kClampedSwiglu);
  EXPECT_EQ(config->swiglu.alpha, 1.702f);
  EXPECT_EQ(config->swiglu.limit, 7.0f);
  EXPECT_TRUE(config->has_qkv_bias && config->has_attention_output_bias);
  EXPECT_TRUE(config->has_attention_sinks && config->has_expert_biases);
  EXPECT_FALSE(config->has_tied_embeddings);
}

TEST(ConfigJson, ReadsGptOss) {
  const Result<ModelConfig> config = gpt_oss(R"({"num_local_experts":6,"experts_per_token":3,
    "swiglu_limit":2.5,"swiglu_alpha":1.25,"sliding_window":16,"attention_bias":false,
    "hidden_act":"silu","tie_word_embeddings":true,"rope_scaling":{"rope_type":"yarn","factor":8,
    "truncate":true,"original_max_position_embeddings":64},
    "layer_types":["full_attention","sliding_attention","sliding_attention","full_attention",
    "sliding_attention"],
    "quantization_config":{"quant_method":"mxfp4","modules_to_not_convert":["lm_head"]}})");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->expert_count, 6);
  EXPECT_EQ(config->expert_used_count, 3);
  EXPECT_EQ(config->swiglu.limit, 2.5f);
  EXPECT_EQ(config->swiglu.alpha, 1.25f);
  EXPECT_THAT(config->layer_is_local, ElementsAre(0, 1, 1, 0, 1));
  EXPECT_FALSE(config->has_qkv_bias || config->has_attention_output_bias);
  EXPECT_TRUE(config->has_expert_biases);
  EXPECT_TRUE(config->has_tied_embeddings);
  EXPECT_TRUE(config->rope_scaling.truncates);
  EXPECT_EQ(config->rope_scaling.factor, 8.0f);
  EXPECT_EQ(config->packing, WeightPacking::kMxfp4);
  // A count that transformers does not read decides nothing beside one that it does.
  EXPECT_EQ(gpt_oss(R"({"num_experts_per_tok":2,"experts_per_token":999})")->expert_used_count, 2);
  EXPECT_EQ(
      gpt_oss(R"({"rope_parameters":{"rope_type":"default","rope_theta":5e4}})")->rope_scaling.kind,
      RopeScaling::Kind::kNone);
}

TEST(ConfigJson, NamesWhatItRefusesOfGptOss) {
  const auto message = [](std::string_view changes) {
    const Result<ModelConfig> config = gpt_oss(changes);
    return config ? std::string("accepted") : config.error().message;
  };
  EXPECT_THAT(message(R"({"num_local_experts":1025})"), HasSubstr("must be from 1 to 1024"));
  EXPECT_THAT(message(R"({"num_local_experts":2})"), HasSubstr("4 experts for each token, of 2"));
  EXPECT_THAT(message(R"({"experts_per_token":129})"), HasSubstr("'experts_per_token' is 129"));
  EXPECT_THAT(message(R"({"swiglu_limit":0})"), HasSubstr("'swiglu_limit' is 0"));
  EXPECT_THAT(message(R"({"swiglu_limit":-7})"), HasSubstr("'swiglu_limit' is -7"));
  EXPECT_THAT(message(R"({"swiglu_alpha":1e9})"), HasSubstr("'swiglu_alpha' is"));
  EXPECT_THAT(message(R"({"hidden_act":"gelu"})"), HasSubstr("must be 'silu' for gpt-oss"));
  EXPECT_THAT(message(R"({"layer_types":["sliding_attention"]})"), HasSubstr("layer_types"));
}

TEST(Config, EveryArchitectureHasANameThatGgufFilesUse) {
  EXPECT_EQ(name_of(Architecture::kLlama), "llama");
  EXPECT_EQ(name_of(Architecture::kQwen2), "qwen2");
  EXPECT_EQ(name_of(Architecture::kQwen3), "qwen3");
  EXPECT_EQ(name_of(Architecture::kQwen3Moe), "qwen3moe");
  EXPECT_EQ(name_of(Architecture::kGemma2), "gemma2");
  EXPECT_EQ(name_of(Architecture::kGemma3), "gemma3");
  EXPECT_EQ(name_of(Architecture::kGptOss), "gpt-oss");
}

}  // namespace
}  // namespace inferno::model
