#include "model/checkpoint_names.h"

#include <fmt/format.h>

#include <charconv>

namespace inferno::model {

namespace {

// "blk.12.attn_q.weight" or "blk.12.ffn_up.3.weight" taken apart; outside of layers `layer` is
// empty.
struct ParsedName {
  std::optional<int> layer;
  std::string_view part;      // "attn_q"
  std::optional<int> expert;  // 3
  std::string_view suffix;    // "weight" or "bias"
};

// A whole number from 0 on, spelled without needless zeros: "01" is another name.
std::optional<int> number_in(std::string_view text) {
  int number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || stop != text.data() + text.size() || number < 0) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return number;
}

std::optional<ParsedName> parse(std::string_view name) {
  ParsedName parsed;
  if (name.starts_with("blk.")) {
    name.remove_prefix(4);
    const size_t end = name.find('.');
    if (end == std::string_view::npos) return std::nullopt;
    parsed.layer = number_in(name.substr(0, end));
    if (!parsed.layer) return std::nullopt;
    name.remove_prefix(end + 1);
  }
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  parsed.part = name.substr(0, dot);
  parsed.suffix = name.substr(dot + 1);
  if (parsed.suffix != "weight" && parsed.suffix != "bias") return std::nullopt;
  const size_t inner = parsed.part.rfind('.');
  if (inner != std::string_view::npos) {
    parsed.expert = number_in(parsed.part.substr(inner + 1));
    if (!parsed.expert) return std::nullopt;
    parsed.part = parsed.part.substr(0, inner);
  }
  return parsed;
}

// Lengths that shapes are made of.
enum class Length : uint8_t {
  kNone,
  kWidth,
  kQuery,
  kKeyValue,
  kHeads,
  kHead,
  kFeedForward,
  kExperts,
  kExpertFeedForward,
};

int64_t value_of(Length length, const ModelConfig& config) {
  switch (length) {
    case Length::kNone:
      return 0;
    case Length::kWidth:
      return config.width;
    case Length::kQuery:
      return int64_t{config.head_count} * config.head_width;
    case Length::kKeyValue:
      return int64_t{config.kv_head_count} * config.head_width;
    case Length::kHeads:
      return config.head_count;
    case Length::kHead:
      return config.head_width;
    case Length::kFeedForward:
      return config.feed_forward_width;
    case Length::kExperts:
      return config.expert_count;
    case Length::kExpertFeedForward:
      return config.expert_width;
  }
  return 0;
}

struct LayerTensor {
  std::string_view part;
  std::string_view folder_part;  // below "layers.N."
  Length outputs;
  Length inputs;  // kNone: a vector
};

constexpr LayerTensor kLayerTensors[] = {
    {"attn_norm", "input_layernorm", Length::kWidth, Length::kNone},
    {"attn_q", "self_attn.q_proj", Length::kQuery, Length::kWidth},
    {"attn_k", "self_attn.k_proj", Length::kKeyValue, Length::kWidth},
    {"attn_v", "self_attn.v_proj", Length::kKeyValue, Length::kWidth},
    {"attn_output", "self_attn.o_proj", Length::kWidth, Length::kQuery},
    {"attn_q_norm", "self_attn.q_norm", Length::kHead, Length::kNone},
    {"attn_k_norm", "self_attn.k_norm", Length::kHead, Length::kNone},
    {"attn_sinks", "self_attn.sinks", Length::kHeads, Length::kNone},
    {"ffn_gate", "mlp.gate_proj", Length::kFeedForward, Length::kWidth},
    {"ffn_up", "mlp.up_proj", Length::kFeedForward, Length::kWidth},
    {"ffn_down", "mlp.down_proj", Length::kWidth, Length::kFeedForward},
    {"ffn_norm", "post_attention_layernorm", Length::kWidth, Length::kNone},
};

// Gemma's folders call the norm before the feed-forward part by its place, and have one after each
// part.
constexpr LayerTensor kPostNormTensors[] = {
    {"ffn_norm", "pre_feedforward_layernorm", Length::kWidth, Length::kNone},
    {"post_attention_norm", "post_attention_layernorm", Length::kWidth, Length::kNone},
    {"post_ffw_norm", "post_feedforward_layernorm", Length::kWidth, Length::kNone},
};

constexpr LayerTensor kRouters[] = {
    {"ffn_gate_inp", "block_sparse_moe.gate", Length::kExperts, Length::kWidth},  // Mixtral
    {"ffn_gate_inp", "mlp.gate", Length::kExperts, Length::kWidth},               // Qwen 3
    {"ffn_gate_inp", "mlp.router", Length::kExperts, Length::kWidth},             // gpt-oss
};

// Of one expert. Folder parts are those of Mixtral, below "block_sparse_moe.experts.E.", and of
// Qwen 3, below "mlp.experts.E.".
struct ExpertTensor {
  LayerTensor tensor;  // with Mixtral's part
  std::string_view qwen_part;
};

constexpr ExpertTensor kExpertTensors[] = {
    {{"ffn_gate", "w1", Length::kExpertFeedForward, Length::kWidth}, "gate_proj"},
    {{"ffn_up", "w3", Length::kExpertFeedForward, Length::kWidth}, "up_proj"},
    {{"ffn_down", "w2", Length::kWidth, Length::kExpertFeedForward}, "down_proj"},
};

bool is_mixtral(const ModelConfig& config) {
  return config.architecture == Architecture::kLlama;
}

bool is_gpt_oss(const ModelConfig& config) {
  return config.architecture == Architecture::kGptOss;
}

const ExpertTensor* find_expert_tensor(const ModelConfig& config, const ParsedName& name) {
  if (!name.expert || *name.expert >= config.expert_count) return nullptr;
  for (const ExpertTensor& row : kExpertTensors) {
    if (row.tensor.part == name.part) return &row;
  }
  return nullptr;
}

const LayerTensor* find_layer_tensor(const ModelConfig& config, const ParsedName& name) {
  if (name.expert) {
    const ExpertTensor* row = find_expert_tensor(config, name);
    return row == nullptr ? nullptr : &row->tensor;
  }
  if (config.expert_count > 0 && name.part == kRouters[0].part) {
    return &kRouters[is_mixtral(config) ? 0 : is_gpt_oss(config) ? 2 : 1];
  }
  if (config.has_post_norms) {
    for (const LayerTensor& row : kPostNormTensors) {
      if (row.part == name.part) return &row;
    }
  }
  for (const LayerTensor& row : kLayerTensors) {
    if (row.part == name.part) return &row;
  }
  return nullptr;
}

// Without the suffix.
std::string folder_part(const ModelConfig& config, const ParsedName& name,
                        const LayerTensor& tensor) {
  const ExpertTensor* expert = find_expert_tensor(config, name);
  if (expert == nullptr) return std::string(tensor.folder_part);
  if (is_mixtral(config)) {
    return fmt::format("block_sparse_moe.experts.{}.{}", *name.expert, tensor.folder_part);
  }
  return fmt::format("mlp.experts.{}.{}", *name.expert, expert->qwen_part);
}

// The parts of a layer's feed-forward block, with their suffixes.
std::vector<std::string> feed_forward_parts(const ModelConfig& config, int layer) {
  if (!config.has_experts(layer)) return {"ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"};
  std::vector<std::string> parts = {"ffn_gate_inp.weight"};
  if (config.has_expert_biases) parts.emplace_back("ffn_gate_inp.bias");
  for (int expert = 0; expert < config.expert_count; ++expert) {
    for (const ExpertTensor& row : kExpertTensors) {
      parts.push_back(fmt::format("{}.{}.weight", row.tensor.part, expert));
      if (config.has_expert_biases)
        parts.push_back(fmt::format("{}.{}.bias", row.tensor.part, expert));
    }
  }
  return parts;
}

}  // namespace

std::optional<std::vector<int64_t>> expected_shape(const ModelConfig& config,
                                                   std::string_view name) {
  using Shape = std::vector<int64_t>;
  const std::optional<ParsedName> parsed = parse(name);
  if (!parsed) return std::nullopt;
  if (!parsed->layer) {
    if (name == "token_embd.weight" || name == "output.weight") {
      return Shape{config.vocab_size, config.width};
    }
    if (name == "output_norm.weight") return Shape{config.width};
    if (name == "rope_freqs.weight") return Shape{config.rope_width / 2};
    return std::nullopt;
  }
  const LayerTensor* row = find_layer_tensor(config, *parsed);
  if (row == nullptr || *parsed->layer >= config.layer_count) return std::nullopt;
  const int64_t outputs = value_of(row->outputs, config);
  if (parsed->suffix == "bias" || row->inputs == Length::kNone) return Shape{outputs};
  return Shape{outputs, value_of(row->inputs, config)};
}

std::vector<std::string> required_tensors(const ModelConfig& config) {
  std::vector<std::string> names = {"token_embd.weight", "output_norm.weight"};
  if (!config.has_tied_embeddings) names.emplace_back("output.weight");
  return names;
}

std::vector<std::string> required_tensors(const ModelConfig& config, int layer) {
  std::vector<std::string> parts = {"attn_norm.weight", "attn_q.weight",      "attn_k.weight",
                                    "attn_v.weight",    "attn_output.weight", "ffn_norm.weight"};
  if (config.has_qkv_bias) parts.insert(parts.end(), {"attn_q.bias", "attn_k.bias", "attn_v.bias"});
  if (config.has_attention_output_bias) parts.emplace_back("attn_output.bias");
  if (config.has_attention_sinks) parts.emplace_back("attn_sinks.weight");
  if (config.has_qk_norm) parts.insert(parts.end(), {"attn_q_norm.weight", "attn_k_norm.weight"});
  if (config.has_post_norms) {
    parts.insert(parts.end(), {"post_attention_norm.weight", "post_ffw_norm.weight"});
  }
  const std::vector<std::string> feed_forward = feed_forward_parts(config, layer);
  parts.insert(parts.end(), feed_forward.begin(), feed_forward.end());
  for (std::string& part : parts)
    part = fmt::format("blk.{}.{}", layer, part);
  return parts;
}

std::string gguf_name(const ModelConfig& config, std::string_view name) {
  const std::optional<ParsedName> parsed = parse(name);
  const bool is_renamed = is_gpt_oss(config) && parsed && parsed->layer && !parsed->expert &&
                          parsed->part == "ffn_norm";
  return is_renamed ? fmt::format("blk.{}.post_attention_norm.{}", *parsed->layer, parsed->suffix)
                    : std::string(name);
}

std::optional<StackedName> stacked_name(const ModelConfig& config, std::string_view name) {
  const std::optional<ParsedName> parsed = parse(name);
  if (!parsed || !parsed->layer || find_expert_tensor(config, *parsed) == nullptr) {
    return std::nullopt;
  }
  return StackedName{
      .name = fmt::format("blk.{}.{}_exps.{}", *parsed->layer, parsed->part, parsed->suffix),
      .expert = *parsed->expert};
}

std::optional<std::string> folder_name(const ModelConfig& config, std::string_view name,
                                       std::string_view prefix) {
  const std::optional<ParsedName> parsed = parse(name);
  if (!parsed) return std::nullopt;
  if (parsed->layer) {
    const LayerTensor* row = find_layer_tensor(config, *parsed);
    if (row == nullptr || (is_gpt_oss(config) && parsed->expert)) return std::nullopt;
    const std::string part =
        fmt::format("{}layers.{}.{}", prefix, *parsed->layer, folder_part(config, *parsed, *row));
    return row->part == "attn_sinks" ? part : fmt::format("{}.{}", part, parsed->suffix);
  }
  if (name == "token_embd.weight") return fmt::format("{}embed_tokens.weight", prefix);
  if (name == "output_norm.weight") return fmt::format("{}norm.weight", prefix);
  if (name == "output.weight") return "lm_head.weight";
  return std::nullopt;
}

std::optional<ExpertSlice> folder_slice(const ModelConfig& config, std::string_view name,
                                        std::string_view prefix) {
  const std::optional<ParsedName> parsed = parse(name);
  if (!is_gpt_oss(config) || !parsed || !parsed->layer || *parsed->layer >= config.layer_count) {
    return std::nullopt;
  }
  const ExpertTensor* row = find_expert_tensor(config, *parsed);
  if (row == nullptr) return std::nullopt;
  const bool is_down = row->tensor.part == "ffn_down";
  return ExpertSlice{.stack = fmt::format("{}layers.{}.mlp.experts.{}", prefix, *parsed->layer,
                                          is_down ? "down_proj" : "gate_up_proj"),
                     .expert_count = config.expert_count,
                     .expert = *parsed->expert,
                     .size = {.outputs = static_cast<int>(value_of(row->tensor.outputs, config)),
                              .inputs = static_cast<int>(value_of(row->tensor.inputs, config))},
                     .first = row->tensor.part == "ffn_up" ? 1 : 0,
                     .step = is_down ? 1 : 2,
                     .is_bias = parsed->suffix == "bias"};
}

}  // namespace inferno::model
