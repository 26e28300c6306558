#include "model/checkpoint_names.h"

#include <fmt/format.h>

#include <charconv>

namespace inferno::model {

namespace {

// "blk.12.attn_q.weight" taken apart; outside of layers `layer` is empty.
struct ParsedName {
  std::optional<int> layer;
  std::string_view part;    // "attn_q"
  std::string_view suffix;  // "weight" or "bias"
};

std::optional<ParsedName> parse(std::string_view name) {
  ParsedName parsed;
  if (name.starts_with("blk.")) {
    int layer = 0;
    const char* begin = name.data() + 4;
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(begin, end, layer);
    if (error != std::errc() || stop == end || *stop != '.' || layer < 0) return std::nullopt;
    if (stop - begin > 1 && *begin == '0') return std::nullopt;  // "blk.01" is another name
    parsed.layer = layer;
    name.remove_prefix(static_cast<size_t>(stop + 1 - name.data()));
  }
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  parsed.part = name.substr(0, dot);
  parsed.suffix = name.substr(dot + 1);
  if (parsed.suffix != "weight" && parsed.suffix != "bias") return std::nullopt;
  return parsed;
}

// Lengths that shapes are made of.
enum class Length : uint8_t { kNone, kWidth, kQuery, kKeyValue, kHead, kFeedForward };

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
    case Length::kHead:
      return config.head_width;
    case Length::kFeedForward:
      return config.feed_forward_width;
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

const LayerTensor* find_layer_tensor(const ModelConfig& config, std::string_view part) {
  if (config.has_post_norms) {
    for (const LayerTensor& row : kPostNormTensors) {
      if (row.part == part) return &row;
    }
  }
  for (const LayerTensor& row : kLayerTensors) {
    if (row.part == part) return &row;
  }
  return nullptr;
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
  const LayerTensor* row = find_layer_tensor(config, parsed->part);
  if (row == nullptr || *parsed->layer >= config.layer_count) return std::nullopt;
  const int64_t outputs = value_of(row->outputs, config);
  if (parsed->suffix == "bias" || row->inputs == Length::kNone) return Shape{outputs};
  return Shape{outputs, value_of(row->inputs, config)};
}

std::vector<std::string> required_tensors(const ModelConfig& config) {
  std::vector<std::string> names = {"token_embd.weight", "output_norm.weight"};
  if (!config.has_tied_embeddings) names.emplace_back("output.weight");
  std::vector<std::string_view> parts = {
      "attn_norm.weight", "attn_q.weight",      "attn_k.weight",
      "attn_v.weight",    "attn_output.weight", "ffn_norm.weight",
      "ffn_gate.weight",  "ffn_up.weight",      "ffn_down.weight"};
  if (config.has_qkv_bias) parts.insert(parts.end(), {"attn_q.bias", "attn_k.bias", "attn_v.bias"});
  if (config.has_attention_output_bias) parts.emplace_back("attn_output.bias");
  if (config.has_qk_norm) parts.insert(parts.end(), {"attn_q_norm.weight", "attn_k_norm.weight"});
  if (config.has_post_norms) {
    parts.insert(parts.end(), {"post_attention_norm.weight", "post_ffw_norm.weight"});
  }
  for (int layer = 0; layer < config.layer_count; ++layer) {
    for (const std::string_view part : parts)
      names.push_back(fmt::format("blk.{}.{}", layer, part));
  }
  return names;
}

std::optional<std::string> folder_name(const ModelConfig& config, std::string_view name,
                                       std::string_view prefix) {
  const std::optional<ParsedName> parsed = parse(name);
  if (!parsed) return std::nullopt;
  if (parsed->layer) {
    const LayerTensor* row = find_layer_tensor(config, parsed->part);
    if (row == nullptr) return std::nullopt;
    return fmt::format("{}layers.{}.{}.{}", prefix, *parsed->layer, row->folder_part,
                       parsed->suffix);
  }
  if (name == "token_embd.weight") return fmt::format("{}embed_tokens.weight", prefix);
  if (name == "output_norm.weight") return fmt::format("{}norm.weight", prefix);
  if (name == "output.weight") return "lm_head.weight";
  return std::nullopt;
}

}  // namespace inferno::model
