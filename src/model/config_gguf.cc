// ModelConfig from the keys of a GGUF file. Names and defaults: gguf-py's constants and llama.cpp's
// loader, whose files these are.
#include <algorithm>
#include <cmath>

#include "model/config.h"
#include "model/config_fields.h"
#include "model/gguf.h"

namespace inferno::model {

namespace {

void read_gguf_shape(ModelConfig& config, GgufFields& fields) {
  config.context_length = fields.integer("context_length", {1, kMaxContext});
  config.layer_count = fields.integer("block_count", {1, kMaxLayers});
  config.width = fields.integer("embedding_length", {2, kMaxWidth});
  config.head_count = fields.integer("attention.head_count", {1, kMaxHeads});
  config.kv_head_count =
      fields.integer("attention.head_count_kv", {1, kMaxHeads}, config.head_count);
  config.feed_forward_width = fields.integer("feed_forward_length", {1, kMaxFeedForwardWidth});
  if (!fields.has("attention.key_length") && config.width % config.head_count != 0) {
    fields.refuse("attention.head_count", "is {}, which does not divide embedding_length {}",
                  config.head_count, config.width);
  }
  config.head_width =
      fields.integer("attention.key_length", {2, kMaxHeadWidth}, config.width / config.head_count);
  const int value_width =
      fields.integer("attention.value_length", {2, kMaxHeadWidth}, config.head_width);
  if (value_width != config.head_width) {
    fields.refuse("attention.value_length", "is {}, must equal attention.key_length {}",
                  value_width, config.head_width);
  }
  config.rms_norm_eps = fields.real("attention.layer_norm_rms_epsilon", {0.0, 1.0});
}

// Choices of experts by other rules than router.h's are refused.
void refuse_other_routing(const ModelConfig& config, GgufFields& fields) {
  // llama.cpp's numbers; 0 is what the architecture does.
  constexpr int kSoftmax = 1, kSoftmaxOfChosen = 3;
  const int gating = fields.integer("expert_gating_func", {0, 255}, 0);
  const bool is_of_chosen =
      gating == kSoftmaxOfChosen && config.expert_weighting == ExpertWeighting::kOfChosen;
  if (gating > kSoftmax && !is_of_chosen) {
    fields.refuse("expert_gating_func", "is {}, {} (softmax) is supported", gating, kSoftmax);
  }
  for (const std::string_view key : {"expert_shared_count", "expert_group_count"}) {
    const int least_other = key == "expert_group_count" ? 2 : 1;
    const int count = fields.integer(key, {0, 1 << 20}, 0);
    if (count >= least_other) fields.refuse(key, "is {}, which is not supported", count);
  }
  const float scale = fields.real("expert_weights_scale", {0.0, 1e6}, 1.0f);
  if (scale != 0.0f && scale != 1.0f) {
    fields.refuse("expert_weights_scale", "is {}, which is not supported", scale);
  }
}

void read_experts(ModelConfig& config, GgufFields& fields) {
  const ExpertUse use = traits_of(config.architecture).experts;
  const int least = use == ExpertUse::kAlways ? 1 : 0;
  config.expert_count = fields.integer("expert_count", {least, kMaxExperts}, 0);
  if (config.expert_count == 0) {
    if (use == ExpertUse::kAlways) fields.refuse("expert_count", "is missing");
    return;
  }
  if (use == ExpertUse::kNever) {
    fields.refuse("expert_count", "is {}: mixtures of experts are not supported in {}",
                  config.expert_count, name_of(config.architecture));
  }
  config.expert_used_count =
      fields.integer("expert_used_count", {1, std::min(config.expert_count, kMaxExpertsUsed)});
  config.expert_width = fields.integer("expert_feed_forward_length", {1, kMaxFeedForwardWidth},
                                       config.feed_forward_width);
  if (!fields.flag("expert_weights_norm", ConfigFields::Default::kTrue)) {
    config.expert_weighting = ExpertWeighting::kOfAll;
  }
  refuse_other_routing(config, fields);
  config.layer_has_experts.assign(static_cast<size_t>(config.layer_count), 1);
}

void read_gguf_rope(ModelConfig& config, GgufFields& fields) {
  config.rope_width = fields.integer("rope.dimension_count", {2, kMaxHeadWidth}, config.head_width);
  config.rope_base = fields.real("rope.freq_base", {1.0, 1e12}, 10000.0f);
  config.rope_base_local = traits_of(config.architecture).has_local_rope
                               ? fields.real("rope.freq_base_swa", {1.0, 1e12}, 10000.0f)
                               : config.rope_base;
  RopeScaling& scaling = config.rope_scaling;
  const float old_factor = fields.real("rope.scale_linear", {1e-3, 1e6}, 1.0f);
  scaling.factor = fields.real("rope.scaling.factor", {0.0, 1e6}, old_factor);
  if (scaling.factor == 0.0f) scaling.factor = 1.0f;  // what converters write for "none"
  const std::string type =
      fields.text("rope.scaling.type", scaling.factor == 1.0f ? "none" : "linear");
  if (type == "none") {
    scaling.factor = 1.0f;
  } else if (type == "linear") {
    scaling.kind = RopeScaling::Kind::kLinear;
  } else if (type == "yarn") {
    // No key says whether the range of scaled dimensions is rounded: llama.cpp always does it.
    scaling.kind = RopeScaling::Kind::kYarn;
    scaling.original_context = fields.integer("rope.scaling.original_context_length",
                                              {1, kMaxContext}, config.context_length);
    scaling.beta_fast = fields.real("rope.scaling.yarn_beta_fast", {0.0, 1e6}, 32.0f);
    scaling.beta_slow = fields.real("rope.scaling.yarn_beta_slow", {0.0, 1e6}, 1.0f);
    const float multiplier = fields.real("rope.scaling.attn_factor", {0.0, 1e3}, 1.0f);
    scaling.attention_factor = multiplier * (0.1f * std::log(scaling.factor) + 1.0f);
  } else {
    fields.refuse("rope.scaling.type",
                  "is '{}', which is not supported (none, linear and yarn are)", type);
  }
}

void read_gguf_window(ModelConfig& config, GgufFields& fields, const Gguf& file) {
  const std::string key = fields.full("attention.sliding_window_pattern");
  const GgufValue* pattern = file.find(key);
  config.sliding_window = fields.integer("attention.sliding_window", {0, kMaxContext}, 0);
  if (fields.error()) return;
  if (pattern == nullptr || pattern->type != GgufType::kArray) {
    const int period = fields.integer("attention.sliding_window_pattern", {0, kMaxLayers},
                                      traits_of(config.architecture).window_period);
    mark_windows(config, period);
    return;
  }
  const Result<std::vector<bool>> layers = file.array<bool>(key);
  if (!layers) return fields.keep(layers.error());
  config.layer_is_local.assign(layers->begin(), layers->end());
}

void read_gguf_attention(ModelConfig& config, GgufFields& fields) {
  const ArchitectureTraits& traits = traits_of(config.architecture);
  double divisor = config.head_width;
  if (config.layer_count == traits.layers_scaled_by_width) {
    divisor = static_cast<double>(config.width) / config.head_count;
  }
  config.attention_scale = fields.real("attention.scale", {0.0, 1e3}, 0.0f);
  if (config.attention_scale == 0.0f) {
    config.attention_scale = static_cast<float>(1.0 / std::sqrt(divisor));
  }
  config.attention_softcap =
      fields.real("attn_logit_softcapping", {0.0, 1e6}, traits.attention_softcap);
  config.final_softcap = fields.real("final_logit_softcapping", {0.0, 1e6}, traits.final_softcap);
}

// What tensors say and keys do not.
void read_from_tensors(ModelConfig& config, GgufFields& fields, const Gguf& file) {
  const Tensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2) {
    fields.keep(Error{Fault::kInvalid,
                      fmt::format("{}: tensor 'token_embd.weight' {}", file.label(),
                                  embedding == nullptr ? "is missing" : "must have two dimensions"),
                      {}});
    return;
  }
  const int64_t rows = embedding->shape[0];
  if (rows > kMaxVocabulary) {
    fields.keep(Error{Fault::kInvalid,
                      fmt::format("{}: tensor 'token_embd.weight' has {} rows, limit {}",
                                  file.label(), rows, kMaxVocabulary),
                      {}});
    return;
  }
  config.vocab_size = static_cast<int>(rows);
  config.has_tied_embeddings = file.find_tensor("output.weight") == nullptr;
  config.has_qkv_bias = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  config.has_attention_output_bias = file.find_tensor("blk.0.attn_output.bias") != nullptr;
}

}  // namespace

Result<ModelConfig> config_from_gguf(const Gguf& file) {
  const Result<std::string_view> architecture = file.get<std::string_view>("general.architecture");
  if (!architecture) return std::unexpected(architecture.error());
  const ArchitectureTraits* traits = find_traits_by_gguf_name(*architecture);
  if (traits == nullptr) {
    return fail(Fault::kInvalid,
                "{}: key 'general.architecture' is '{}', which is not supported ({} are)",
                file.label(), *architecture, known_architectures());
  }
  GgufFields fields(file, std::string(*architecture) + ".");
  ModelConfig config = config_of(*traits);
  config.rope_layout = traits->gguf_rope_layout;
  read_gguf_shape(config, fields);
  read_experts(config, fields);
  read_gguf_rope(config, fields);
  read_gguf_window(config, fields, file);
  read_gguf_attention(config, fields);
  if (traits->is_gemma) config.embedding_scale = std::sqrt(static_cast<float>(config.width));
  read_from_tensors(config, fields, file);
  if (fields.error()) return std::unexpected(*fields.error());
  return checked(std::move(config), file.label());
}

}  // namespace inferno::model
