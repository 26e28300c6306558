// ModelConfig from a Hugging Face config.json. Names and defaults: the configuration classes of
// transformers, in the spelling of release 4 (rope_theta, rope_scaling) and of release 5
// (rope_parameters).
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cmath>

#include "model/config.h"
#include "model/config_fields.h"
#include "model/config_packing.h"

namespace inferno::model {

namespace json = boost::json;

namespace {

// What a missing key means: the defaults of Gemma2Config, Gemma3TextConfig, GptOssConfig and
// Qwen3Config, which published folders rely on; for other architectures the shape must be there.
struct Defaults {
  std::optional<int> vocab_size = std::nullopt;
  std::optional<int> context_length = std::nullopt;
  std::optional<int> head_count = std::nullopt;
  std::optional<int> kv_head_count = std::nullopt;
  std::optional<int> head_width = std::nullopt;
  float rms_norm_eps = 1e-6f;
  float rope_base = 10000.0f;
  int window = 4096;  // 0: none
  ConfigFields::Default uses_window = ConfigFields::Default::kFalse;
  ConfigFields::Default ties = ConfigFields::Default::kFalse;
  ConfigFields::Default attention_bias = ConfigFields::Default::kFalse;
  std::string_view rope_scaling = "null";  // JSON
};

Defaults defaults_of(Architecture architecture, std::string_view model_type) {
  constexpr auto kTrue = ConfigFields::Default::kTrue;
  Defaults defaults;
  if (architecture == Architecture::kGemma3) {
    defaults = {.vocab_size = 262'208,
                .context_length = 131'072,
                .head_count = 8,
                .kv_head_count = 4,
                .head_width = 256,
                .rope_base = 1e6f,
                .uses_window = kTrue,
                .ties = kTrue};
  }
  if (architecture == Architecture::kGemma2) {
    defaults = {.vocab_size = 256'000,
                .context_length = 8192,
                .head_count = 8,
                .kv_head_count = 4,
                .head_width = 256,
                .uses_window = kTrue,
                .ties = kTrue};
  }
  if (architecture == Architecture::kGptOss) {
    defaults = {.vocab_size = 201'088,
                .context_length = 131'072,
                .head_count = 64,
                .kv_head_count = 8,
                .head_width = 64,
                .rms_norm_eps = 1e-5f,
                .rope_base = 150'000.0f,
                .window = 128,
                .uses_window = kTrue,
                .attention_bias = kTrue,
                .rope_scaling = R"({"rope_type":"yarn","factor":32.0,"beta_fast":32.0,)"
                                R"("beta_slow":1.0,"truncate":false,)"
                                R"("original_max_position_embeddings":4096})"};
  }
  if (architecture == Architecture::kQwen3) defaults.head_width = 128;
  if (model_type == "mistral") defaults.uses_window = kTrue;
  if (model_type == "mixtral") {
    defaults.rms_norm_eps = 1e-5f;
    defaults.rope_base = 1e6f;
    defaults.window = 0;
    defaults.uses_window = kTrue;
  }
  return defaults;
}

void read_json_shape(ModelConfig& config, JsonFields& fields, const Defaults& defaults) {
  config.vocab_size = fields.integer("vocab_size", {1, kMaxVocabulary}, defaults.vocab_size);
  config.context_length =
      fields.integer("max_position_embeddings", {1, kMaxContext}, defaults.context_length);
  config.layer_count = fields.integer("num_hidden_layers", {1, kMaxLayers});
  config.width = fields.integer("hidden_size", {2, kMaxWidth});
  config.head_count = fields.integer("num_attention_heads", {1, kMaxHeads}, defaults.head_count);
  config.kv_head_count = fields.integer("num_key_value_heads", {1, kMaxHeads},
                                        defaults.kv_head_count.value_or(config.head_count));
  config.feed_forward_width = fields.integer("intermediate_size", {1, kMaxFeedForwardWidth});
  std::optional<int> head_width = defaults.head_width;
  if (!head_width && config.width % config.head_count == 0) {
    head_width = config.width / config.head_count;
  }
  config.head_width = fields.integer("head_dim", {2, kMaxHeadWidth}, head_width);
  config.rms_norm_eps = fields.real("rms_norm_eps", {0.0, 1.0}, defaults.rms_norm_eps);
}

void read_yarn(RopeScaling& scaling, JsonFields& rope, int context_length) {
  scaling.kind = RopeScaling::Kind::kYarn;
  scaling.original_context =
      rope.integer("original_max_position_embeddings", {1, kMaxContext}, context_length);
  scaling.beta_fast = rope.real("beta_fast", {0.0, 1e6}, 32.0f);
  scaling.beta_slow = rope.real("beta_slow", {0.0, 1e6}, 1.0f);
  scaling.truncates = rope.flag("truncate", ConfigFields::Default::kTrue);
  const auto magnitude = [&](float multiplier) {
    return scaling.factor <= 1.0f ? 1.0f : 0.1f * multiplier * std::log(scaling.factor) + 1.0f;
  };
  float otherwise = magnitude(1.0f);
  const float mscale = rope.real("mscale", {0.0, 1e3}, 0.0f);
  const float mscale_all = rope.real("mscale_all_dim", {0.0, 1e3}, 0.0f);
  if (mscale > 0.0f && mscale_all > 0.0f) otherwise = magnitude(mscale) / magnitude(mscale_all);
  scaling.attention_factor = rope.real("attention_factor", {1e-3, 1e3}, otherwise);
}

void read_scaling(RopeScaling& scaling, JsonFields& rope, int context_length) {
  const std::string type = rope.text(rope.has("rope_type") ? "rope_type" : "type", "default");
  if (type == "default" || type == "none") return;
  if (type != "linear" && type != "llama3" && type != "yarn") {
    rope.refuse(rope.has("rope_type") ? "rope_type" : "type",
                "is '{}', which is not supported (default, linear, llama3 and yarn are)", type);
    return;
  }
  scaling.factor = rope.real("factor", {1e-3, 1e6});
  if (type == "linear") {
    scaling.kind = RopeScaling::Kind::kLinear;
  } else if (type == "yarn") {
    read_yarn(scaling, rope, context_length);
  } else {
    scaling.kind = RopeScaling::Kind::kLlama3;
    scaling.low_freq_factor = rope.real("low_freq_factor", {1e-6, 1e6});
    scaling.high_freq_factor = rope.real("high_freq_factor", {1e-6, 1e6});
    scaling.original_context = rope.integer("original_max_position_embeddings", {1, kMaxContext});
    if (scaling.high_freq_factor <= scaling.low_freq_factor) {
      rope.refuse("high_freq_factor", "is {}, must be above low_freq_factor {}",
                  scaling.high_freq_factor, scaling.low_freq_factor);
    }
  }
}

constexpr RealLimits kRopeBase = {1.0, 1e12};

void read_json_rope(ModelConfig& config, JsonFields& fields, std::string_view label,
                    const Defaults& defaults) {
  config.rope_layout = RopeLayout::kHalves;
  config.rope_base = fields.real("rope_theta", kRopeBase, defaults.rope_base);
  const bool has_local_base = traits_of(config.architecture).has_local_rope;
  if (has_local_base) {
    config.rope_base_local = fields.real("rope_local_base_freq", kRopeBase, 10000.0f);
  }
  const bool is_recent = fields.object("rope_parameters") != nullptr;
  const std::string_view key = is_recent ? "rope_parameters" : "rope_scaling";
  const json::value otherwise = json::parse(defaults.rope_scaling);
  const json::object* rope = fields.object(key);
  if (rope == nullptr && !fields.is_null(key)) rope = otherwise.if_object();
  std::string prefix = std::string(key) + ".";
  // Release 5 spells one set of parameters for each kind of attention where there are two.
  if (rope != nullptr && rope->if_contains("full_attention") != nullptr) {
    const JsonFields kinds(*rope, label, prefix);
    if (const json::object* local = kinds.object("sliding_attention")) {
      JsonFields local_fields(*local, label, prefix + "sliding_attention.");
      config.rope_base_local = local_fields.real("rope_theta", kRopeBase, config.rope_base_local);
      RopeScaling local_scaling;
      read_scaling(local_scaling, local_fields, config.context_length);
      if (local_scaling.kind != RopeScaling::Kind::kNone) {
        local_fields.refuse("rope_type", "scales layers with a window, which is not supported");
      }
      if (local_fields.error()) fields.keep(*local_fields.error());
    }
    rope = kinds.object("full_attention");
    prefix += "full_attention.";
  }
  if (rope != nullptr) {
    JsonFields rope_fields(*rope, label, prefix);
    config.rope_base = rope_fields.real("rope_theta", kRopeBase, config.rope_base);
    read_scaling(config.rope_scaling, rope_fields, config.context_length);
    if (rope_fields.error()) fields.keep(*rope_fields.error());
  }
  if (!has_local_base) config.rope_base_local = config.rope_base;
  const float part = fields.real("partial_rotary_factor", {0.0, 1.0}, 1.0f);
  config.rope_width = static_cast<int>(static_cast<float>(config.head_width) * part);
}

void read_layer_types(ModelConfig& config, JsonFields& fields, const json::array& types) {
  config.layer_is_local.clear();
  for (const json::value& type : types) {
    const json::string* name = type.if_string();
    const bool is_local = name != nullptr && *name == "sliding_attention";
    if (!is_local && (name == nullptr || *name != "full_attention")) {
      fields.refuse("layer_types",
                    "has an entry that is neither sliding_attention nor full_attention");
      return;
    }
    config.layer_is_local.push_back(is_local);
  }
  if (config.layer_is_local.size() != static_cast<size_t>(config.layer_count)) {
    fields.refuse("layer_types", "has {} entries, must be num_hidden_layers {}",
                  config.layer_is_local.size(), config.layer_count);
  }
}

void read_json_window(ModelConfig& config, JsonFields& fields, const Defaults& defaults) {
  // Absence means the class's default, null means none.
  const bool uses_window = fields.flag("use_sliding_window", defaults.uses_window);
  if (uses_window && !fields.is_null("sliding_window")) {
    config.sliding_window = fields.integer("sliding_window", {1, kMaxContext}, defaults.window);
  }
  const int period = fields.integer(
      fields.has("sliding_window_pattern") ? "sliding_window_pattern" : "_sliding_window_pattern",
      {1, kMaxLayers}, traits_of(config.architecture).window_period);
  mark_windows(config, period);
  if (config.sliding_window == 0) return;
  if (const json::array* types = fields.array("layer_types")) {
    read_layer_types(config, fields, *types);
  } else if (config.architecture == Architecture::kQwen2 ||
             config.architecture == Architecture::kQwen3) {
    // The first max_window_layers layers have no window.
    const int first = fields.integer("max_window_layers", {0, kMaxLayers}, 28);
    for (int i = 0; i < std::min(first, config.layer_count); ++i) {
      config.layer_is_local[static_cast<size_t>(i)] = 0;
    }
  }
}

// MixtralConfig: every layer has experts.
void read_mixtral_experts(ModelConfig& config, JsonFields& fields) {
  config.expert_count = fields.integer("num_local_experts", {1, kMaxExperts}, 8);
  config.expert_used_count =
      fields.integer("num_experts_per_tok", {1, std::min(config.expert_count, kMaxExpertsUsed)}, 2);
  config.expert_width = config.feed_forward_width;
  config.layer_has_experts.assign(static_cast<size_t>(config.layer_count), 1);
}

// Qwen3MoeConfig: every decoder_sparse_step-th layer has experts, but those that mlp_only_layers
// lists.
void read_qwen3_experts(ModelConfig& config, JsonFields& fields) {
  config.expert_count = fields.integer("num_experts", {1, kMaxExperts}, 128);
  config.expert_used_count =
      fields.integer("num_experts_per_tok", {1, std::min(config.expert_count, kMaxExpertsUsed)}, 8);
  config.expert_width = fields.integer("moe_intermediate_size", {1, kMaxFeedForwardWidth}, 768);
  if (!fields.flag("norm_topk_prob", ConfigFields::Default::kFalse)) {
    config.expert_weighting = ExpertWeighting::kOfAll;
  }
  const int step = fields.integer("decoder_sparse_step", {1, kMaxLayers}, 1);
  for (int i = 0; i < config.layer_count; ++i)
    config.layer_has_experts.push_back((i + 1) % step == 0);
  const json::array* dense = fields.array("mlp_only_layers");
  if (dense == nullptr && fields.has("mlp_only_layers")) {
    fields.refuse("mlp_only_layers", "must be an array");
  }
  for (size_t i = 0; dense != nullptr && i < dense->size(); ++i) {
    boost::system::error_code error;
    const auto layer = dense->at(i).to_number<int64_t>(error);
    if (error || layer < 0 || layer >= config.layer_count) {
      return fields.refuse("mlp_only_layers", "has an entry that is no layer from 0 to {}",
                           config.layer_count - 1);
    }
    config.layer_has_experts[static_cast<size_t>(layer)] = 0;
  }
}

// GptOssConfig: every layer has experts.
void read_gpt_oss_experts(ModelConfig& config, JsonFields& fields) {
  config.expert_count = fields.integer("num_local_experts", {1, kMaxExperts}, 128);
  constexpr std::string_view kUsed = "num_experts_per_tok", kOtherUsed = "experts_per_token";
  config.expert_used_count =
      fields.integer(fields.has(kUsed) || !fields.has(kOtherUsed) ? kUsed : kOtherUsed,
                     {1, std::min(config.expert_count, kMaxExpertsUsed)}, 4);
  config.expert_width = config.feed_forward_width;
  config.layer_has_experts.assign(static_cast<size_t>(config.layer_count), 1);
  constexpr RealLimits kReasonable = {1e-3, 1e6};
  config.swiglu.alpha = fields.real("swiglu_alpha", kReasonable, config.swiglu.alpha);
  config.swiglu.limit = fields.real("swiglu_limit", kReasonable, config.swiglu.limit);
}

// Absence means the class's default, null means none.
float read_softcap(JsonFields& fields, std::string_view key, float otherwise) {
  return fields.is_null(key) ? 0.0f : fields.real(key, {0.0, 1e6}, otherwise);
}

void read_json_attention(ModelConfig& config, JsonFields& fields, const Defaults& defaults) {
  const ArchitectureTraits& traits = traits_of(config.architecture);
  const float divisor = traits.is_gemma ? fields.real("query_pre_attn_scalar", {1e-3, 1e6}, 256.0f)
                                        : static_cast<float>(config.head_width);
  config.attention_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(divisor)));
  if (traits.is_gemma) {
    config.attention_softcap =
        read_softcap(fields, "attn_logit_softcapping", traits.attention_softcap);
    config.final_softcap = read_softcap(fields, "final_logit_softcapping", traits.final_softcap);
  }
  const bool has_bias = fields.flag("attention_bias", defaults.attention_bias);
  config.has_qkv_bias = has_bias || traits.has_qkv_bias;
  config.has_attention_output_bias = has_bias;
  if (fields.flag("mlp_bias", ConfigFields::Default::kFalse)) {
    fields.refuse("mlp_bias", "is true, which is not supported");
  }
  if (fields.flag("use_bidirectional_attention", ConfigFields::Default::kFalse)) {
    fields.refuse("use_bidirectional_attention", "is true, which is not supported");
  }
}

void read_activation(ModelConfig& config, JsonFields& fields) {
  const std::string_view key = fields.has("hidden_activation") ? "hidden_activation" : "hidden_act";
  const std::string wanted =
      config.activation == Activation::kGeluTanh ? "gelu_pytorch_tanh" : "silu";
  const std::string name = fields.text(key, wanted);
  if (name != wanted && !(name == "swish" && wanted == "silu")) {
    fields.refuse(key, "is '{}', must be '{}' for {}", name, wanted, name_of(config.architecture));
  }
}

void read_outer(ModelConfig& config, JsonFields& outer, JsonFields& fields,
                const Defaults& defaults, std::string_view label) {
  JsonFields& tying = fields.has("tie_word_embeddings") ? fields : outer;
  config.has_tied_embeddings = tying.flag("tie_word_embeddings", defaults.ties);
  JsonFields& packing = fields.has("quantization_config") ? fields : outer;
  if (const json::object* packed = packing.object("quantization_config")) {
    const Result<WeightPacking> read = packing_from_json(*packed, label);
    if (read) {
      config.packing = *read;
    } else {
      packing.keep(read.error());
    }
  } else if (packing.has("quantization_config")) {
    packing.refuse("quantization_config", "must be an object");
  }
}

}  // namespace

Result<ModelConfig> config_from_json(const json::object& json, std::string_view label) {
  JsonFields outer(json, label);
  const json::object* nested = outer.object("text_config");
  JsonFields fields(nested != nullptr ? *nested : json, label,
                    nested != nullptr ? "text_config." : "");
  const std::string model_type = fields.text("model_type", outer.text("model_type", ""));
  const ArchitectureTraits* traits = find_traits_by_model_type(model_type);
  if (traits == nullptr) {
    fields.refuse("model_type", "is '{}', which is not supported ({} are)", model_type,
                  known_architectures());
    return std::unexpected(*fields.error());
  }
  ModelConfig config = config_of(*traits);
  config.norm_weight_offset = traits->is_gemma ? 1.0f : 0.0f;
  const Defaults defaults = defaults_of(traits->architecture, model_type);
  read_json_shape(config, fields, defaults);
  if (model_type == "mixtral") read_mixtral_experts(config, fields);
  if (traits->architecture == Architecture::kQwen3Moe) read_qwen3_experts(config, fields);
  if (traits->is_gpt_oss) read_gpt_oss_experts(config, fields);
  read_json_rope(config, fields, label, defaults);
  read_json_window(config, fields, defaults);
  read_json_attention(config, fields, defaults);
  read_activation(config, fields);
  if (traits->is_gemma) config.embedding_scale = std::sqrt(static_cast<float>(config.width));
  read_outer(config, outer, fields, defaults, label);
  if (fields.error()) return std::unexpected(*fields.error());
  if (outer.error()) return std::unexpected(*outer.error());
  return checked(std::move(config), label);
}

}  // namespace inferno::model
