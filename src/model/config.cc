#include "model/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "model/config_fields.h"

namespace inferno::model {

namespace json = boost::json;

namespace {

constexpr ArchitectureTraits kArchitectures[] = {
    {.architecture = Architecture::kLlama,
     .name = "llama",
     .gguf_rope_layout = RopeLayout::kInterleaved,
     .experts = ExpertUse::kSome},
    {.architecture = Architecture::kQwen2, .name = "qwen2", .has_qkv_bias = true},
    {.architecture = Architecture::kQwen3, .name = "qwen3", .has_qk_norm = true},
    {.architecture = Architecture::kQwen3Moe,
     .name = "qwen3moe",
     .has_qk_norm = true,
     .experts = ExpertUse::kAlways},
    {.architecture = Architecture::kGemma2,
     .name = "gemma2",
     .is_gemma = true,
     .window_period = 2,
     .attention_softcap = 50.0f,
     .final_softcap = 30.0f,
     .layers_scaled_by_width = 46},
    {.architecture = Architecture::kGemma3,
     .name = "gemma3",
     .has_qk_norm = true,
     .is_gemma = true,
     .window_period = 6,
     .has_local_rope = true,
     .layers_scaled_by_width = 62},
    {.architecture = Architecture::kGptOss,
     .name = "gpt-oss",
     .window_period = 2,
     .experts = ExpertUse::kAlways,
     .is_gpt_oss = true},
};

// model_type of config.json, where it is not the architecture's own name.
constexpr std::pair<std::string_view, Architecture> kModelTypes[] = {
    {"mistral", Architecture::kLlama},      {"mixtral", Architecture::kLlama},
    {"qwen3_moe", Architecture::kQwen3Moe}, {"gemma3_text", Architecture::kGemma3},
    {"gpt_oss", Architecture::kGptOss},
};

}  // namespace

bool ModelConfig::has_dense_layer() const {
  return std::ranges::find(layer_has_experts, 0) != layer_has_experts.end();
}

std::string_view name_of(Architecture architecture) {
  return traits_of(architecture).name;
}

const ArchitectureTraits& traits_of(Architecture architecture) {
  const auto* row =
      std::ranges::find(kArchitectures, architecture, &ArchitectureTraits::architecture);
  CHECK(row != std::end(kArchitectures), "architecture {} has no row",
        static_cast<int>(architecture));
  return *row;
}

const ArchitectureTraits* find_traits_by_gguf_name(std::string_view name) {
  const auto* row = std::ranges::find(kArchitectures, name, &ArchitectureTraits::name);
  return row == std::end(kArchitectures) ? nullptr : row;
}

const ArchitectureTraits* find_traits_by_model_type(std::string_view model_type) {
  for (const auto& [alias, architecture] : kModelTypes) {
    if (alias == model_type) return &traits_of(architecture);
  }
  return find_traits_by_gguf_name(model_type);
}

std::string known_architectures() {
  std::vector<std::string_view> names;
  for (const ArchitectureTraits& row : kArchitectures)
    names.push_back(row.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

ModelConfig config_of(const ArchitectureTraits& traits) {
  ModelConfig config;
  config.architecture = traits.architecture;
  config.activation = traits.activation();
  config.has_qk_norm = traits.has_qk_norm;
  config.has_post_norms = traits.is_gemma;
  config.has_attention_sinks = traits.is_gpt_oss;
  config.has_expert_biases = traits.is_gpt_oss;
  return config;
}

void mark_windows(ModelConfig& config, int period) {
  config.layer_is_local.assign(static_cast<size_t>(config.layer_count), 0);
  if (config.sliding_window == 0) return;
  for (int i = 0; i < config.layer_count; ++i) {
    config.layer_is_local[static_cast<size_t>(i)] = period == 0 || (i + 1) % period != 0;
  }
}

Result<ModelConfig> checked(ModelConfig config, std::string_view label) {
  if (config.expert_count == 0) {
    config.layer_has_experts.assign(static_cast<size_t>(config.layer_count), 0);
  }
  if (config.expert_used_count > config.expert_count) {
    return fail(Fault::kInvalid, "{}: {} experts for each token, of {}", label,
                config.expert_used_count, config.expert_count);
  }
  if (config.head_count % config.kv_head_count != 0) {
    return fail(Fault::kInvalid, "{}: {} query heads are not a multiple of {} key/value heads",
                label, config.head_count, config.kv_head_count);
  }
  if (config.head_width % 2 != 0) {
    return fail(Fault::kInvalid, "{}: head width is {}, must be even", label, config.head_width);
  }
  if (config.head_count * config.head_width > kMaxWidth) {
    return fail(Fault::kInvalid, "{}: {} heads of width {} make {}, limit {}", label,
                config.head_count, config.head_width, config.head_count * config.head_width,
                kMaxWidth);
  }
  if (config.rope_width % 2 != 0 || config.rope_width < 2 ||
      config.rope_width > config.head_width) {
    return fail(Fault::kInvalid,
                "{}: rotary width is {}, must be even, from 2 to the head width {}", label,
                config.rope_width, config.head_width);
  }
  if (config.layer_is_local.size() != static_cast<size_t>(config.layer_count)) {
    return fail(Fault::kInvalid, "{}: {} layers have a kind of attention, must be {}", label,
                config.layer_is_local.size(), config.layer_count);
  }
  const bool any_local = std::ranges::count(config.layer_is_local, 0) < config.layer_count;
  if (any_local && config.sliding_window == 0) {
    return fail(Fault::kInvalid, "{}: layers have sliding attention, but the window is 0", label);
  }
  return config;
}

int ConfigFields::integer(std::string_view key, IntLimits limits, std::optional<int> otherwise) {
  const int harmless = static_cast<int>(limits.least);
  if (error_) return harmless;
  if (!has(key)) {
    if (!otherwise) refuse(key, "is missing");
    return otherwise.value_or(harmless);
  }
  const Result<int64_t> value = read_integer(key);
  if (!value) {
    keep(value.error());
    return harmless;
  }
  if (*value < limits.least || *value > limits.most) {
    refuse(key, "is {}, must be from {} to {}", *value, limits.least, limits.most);
    return harmless;
  }
  return static_cast<int>(*value);
}

float ConfigFields::real(std::string_view key, RealLimits limits, std::optional<float> otherwise) {
  const auto harmless = static_cast<float>(limits.least);
  if (error_) return harmless;
  if (!has(key)) {
    if (!otherwise) refuse(key, "is missing");
    return otherwise.value_or(harmless);
  }
  const Result<double> value = read_real(key);
  if (!value) {
    keep(value.error());
    return harmless;
  }
  if (!(*value >= limits.least && *value <= limits.most)) {
    refuse(key, "is {}, must be from {} to {}", *value, limits.least, limits.most);
    return harmless;
  }
  return static_cast<float>(*value);
}

bool ConfigFields::flag(std::string_view key, Default otherwise) {
  const bool fallback = otherwise == Default::kTrue;
  if (error_ || !has(key)) return fallback;
  const Result<bool> value = read_flag(key);
  if (!value) keep(value.error());
  return value.value_or(fallback);
}

std::string ConfigFields::text(std::string_view key, std::string_view otherwise) {
  if (error_ || !has(key)) return std::string(otherwise);
  const Result<std::string> value = read_text(key);
  if (!value) keep(value.error());
  return value.value_or(std::string(otherwise));
}

bool JsonFields::has(std::string_view key) const {
  const json::value* value = json_.if_contains(key);
  return value != nullptr && !value->is_null();
}

bool JsonFields::is_null(std::string_view key) const {
  const json::value* value = json_.if_contains(key);
  return value != nullptr && value->is_null();
}

std::string JsonFields::where(std::string_view key) const {
  return fmt::format("{}: key '{}{}'", label_, prefix_, key);
}

const json::object* JsonFields::object(std::string_view key) const {
  const json::value* value = json_.if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}

const json::array* JsonFields::array(std::string_view key) const {
  const json::value* value = json_.if_contains(key);
  return value == nullptr ? nullptr : value->if_array();
}

Result<int64_t> JsonFields::read_integer(std::string_view key) const {
  const json::value& value = json_.at(key);
  boost::system::error_code error;
  const auto number = value.to_number<int64_t>(error);  // refuses 4.5, takes 4.0
  if (!value.is_number() || error) {
    return fail(Fault::kInvalid, "{} must be a whole number", where(key));
  }
  return number;
}

Result<double> JsonFields::read_real(std::string_view key) const {
  const json::value& value = json_.at(key);
  if (!value.is_number()) return fail(Fault::kInvalid, "{} must be a number", where(key));
  return value.to_number<double>();
}

Result<bool> JsonFields::read_flag(std::string_view key) const {
  const json::value& value = json_.at(key);
  if (!value.is_bool()) return fail(Fault::kInvalid, "{} must be true or false", where(key));
  return value.get_bool();
}

Result<std::string> JsonFields::read_text(std::string_view key) const {
  const json::value& value = json_.at(key);
  if (!value.is_string()) return fail(Fault::kInvalid, "{} must be a string", where(key));
  return std::string(value.get_string());
}

std::string GgufFields::where(std::string_view key) const {
  return fmt::format("{}: key '{}'", file_.label(), full(key));
}

Result<int64_t> GgufFields::read_integer(std::string_view key) const {
  const std::string name = full(key);
  if (file_.find(name)->type != GgufType::kArray) return file_.get<int64_t>(name);
  const Result<std::vector<int64_t>> values = file_.array<int64_t>(name);
  if (!values) return std::unexpected(values.error());
  if (values->empty()) return fail(Fault::kInvalid, "{} is an empty array", where(key));
  const auto other = std::ranges::find_if(*values, [&](int64_t v) { return v != values->front(); });
  if (other != values->end()) {
    return fail(Fault::kInvalid, "{} is {} in one layer and {} in another; they must be equal",
                where(key), values->front(), *other);
  }
  return values->front();
}

Result<double> GgufFields::read_real(std::string_view key) const {
  return file_.get<double>(full(key));
}

Result<bool> GgufFields::read_flag(std::string_view key) const {
  return file_.get<bool>(full(key));
}

Result<std::string> GgufFields::read_text(std::string_view key) const {
  const Result<std::string_view> value = file_.get<std::string_view>(full(key));
  if (!value) return std::unexpected(value.error());
  return std::string(*value);
}

}  // namespace inferno::model
