#include "app/speculative_config.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <optional>
#include <string>
#include <utility>

namespace inferno::app {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 6> kKeys = {
    "method",           "model", "lengths", "num_speculative_tokens", "prompt_lookup_max",
    "prompt_lookup_min"};
constexpr const char* kCount = "num_speculative_tokens";
constexpr const char* kLongest = "prompt_lookup_max";
constexpr const char* kShortest = "prompt_lookup_min";

Result<void> check_keys(const json::object& object) {
  for (const auto& [key, value] : object) {
    if (std::ranges::find(kKeys, std::string_view(key)) != kKeys.end()) continue;
    return fail_field(kSpeculativeConfigField,
                      "{}: '{}' is not known; known are method, model, lengths, {}, {} and {}",
                      kSpeculativeConfigField, std::string_view(key), kCount, kLongest, kShortest);
  }
  return {};
}

// None when there is no such key.
using DraftModelName = std::optional<std::string>;

Result<DraftModelName> model_of(const json::object& object) {
  const json::value* const value = object.if_contains("model");
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (value->is_string() && !value->get_string().empty()) {
    return std::string(value->get_string());
  }
  return fail_field(kSpeculativeConfigField,
                    "{}: model is {}, must be the name of a model, a file or a folder",
                    kSpeculativeConfigField, json::serialize(*value));
}

Result<engine::SpeculationMethod> method_of(const json::object& object,
                                            const DraftModelName& model) {
  using engine::SpeculationMethod;
  const json::value* const value = object.if_contains("method");
  if (value == nullptr || value->is_null()) {
    return model ? SpeculationMethod::kDraftModel : SpeculationMethod::kPromptLookup;
  }
  if (value->is_string()) {
    if (value->get_string() == "ngram") return SpeculationMethod::kPromptLookup;
    if (value->get_string() == "draft_model") return SpeculationMethod::kDraftModel;
    if (value->get_string() == "off") return SpeculationMethod::kOff;
  }
  return fail_field(kSpeculativeConfigField,
                    "{}: method is {}, must be \"ngram\" (prompt lookup), \"draft_model\" or "
                    "\"off\"",
                    kSpeculativeConfigField, json::serialize(*value));
}

Result<schedule::DraftLengthRule> lengths_of(const json::object& object) {
  using schedule::DraftLengthRule;
  const json::value* const value = object.if_contains("lengths");
  if (value == nullptr || value->is_null()) return DraftLengthRule::kByMeasurement;
  if (value->is_string()) {
    if (value->get_string() == "measured") return DraftLengthRule::kByMeasurement;
    if (value->get_string() == "longest") return DraftLengthRule::kLongest;
  }
  return fail_field(kSpeculativeConfigField,
                    "{}: lengths is {}, must be \"measured\" or \"longest\"",
                    kSpeculativeConfigField, json::serialize(*value));
}

// That no key is there which the method would not look at.
Result<void> check_fit(const json::object& object, engine::SpeculationMethod method,
                       const DraftModelName& model) {
  const bool is_model = method == engine::SpeculationMethod::kDraftModel;
  if (is_model && !model) {
    return fail_field(kSpeculativeConfigField, "{}: method \"draft_model\" needs a model",
                      kSpeculativeConfigField);
  }
  if (model && !is_model) {
    return fail_field(kSpeculativeConfigField,
                      "{}: model is {}, allowed only with method \"draft_model\"",
                      kSpeculativeConfigField, json::serialize(object.at("model")));
  }
  for (const char* key : {kLongest, kShortest}) {
    const json::value* const value = object.if_contains(key);
    if (!is_model || value == nullptr || value->is_null()) continue;
    return fail_field(kSpeculativeConfigField, "{}: {} is {}, allowed only with method \"ngram\"",
                      kSpeculativeConfigField, key, json::serialize(*value));
  }
  return {};
}

// The number of a key between 1 and `most`; none when the key is not there.
Result<std::optional<int>> number_of(const json::object& object, std::string_view key, int most) {
  const json::value* const value = object.if_contains(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (value->is_int64() && value->get_int64() >= 1 && value->get_int64() <= most) {
    return static_cast<int>(value->get_int64());
  }
  return fail_field(kSpeculativeConfigField, "{}: {} is {}, must be a whole number from 1 to {}",
                    kSpeculativeConfigField, key, json::serialize(*value), most);
}

}  // namespace

Result<engine::SpeculationConfig> parse_speculative_config(std::string_view text) {
  engine::SpeculationConfig config;
  if (text.find_first_not_of(" \t\n\r") == std::string_view::npos) return config;
  boost::system::error_code trouble;
  const json::value value = json::parse(text, trouble);
  if (trouble || !value.is_object()) {
    return fail_field(kSpeculativeConfigField, "{}: {} is not a JSON object such as {}",
                      kSpeculativeConfigField, text, kDefaultSpeculativeConfig);
  }
  const json::object& object = value.get_object();
  if (auto known = check_keys(object); !known) return std::unexpected(known.error());
  auto model = model_of(object);
  if (!model) return std::unexpected(model.error());
  const auto method = method_of(object, *model);
  if (!method) return std::unexpected(method.error());
  if (auto fits = check_fit(object, *method, *model); !fits) return std::unexpected(fits.error());
  const auto count = number_of(object, kCount, engine::kMostSpeculativeTokens);
  if (!count) return std::unexpected(count.error());
  const auto longest = number_of(object, kLongest, engine::kMostLookupTokens);
  if (!longest) return std::unexpected(longest.error());
  const auto shortest = number_of(object, kShortest, engine::kMostLookupTokens);
  if (!shortest) return std::unexpected(shortest.error());
  const auto lengths = lengths_of(object);
  if (!lengths) return std::unexpected(lengths.error());
  config.method = *method;
  config.lengths = *lengths;
  config.draft_model = std::move(*model).value_or("");
  config.num_speculative_tokens = count->value_or(config.num_speculative_tokens);
  if (*longest || *shortest) {
    config.prompt_lookup_max = longest->value_or(shortest->value_or(0));
    config.prompt_lookup_min = shortest->value_or(config.prompt_lookup_max);
  }
  if (config.prompt_lookup_min > config.prompt_lookup_max) {
    return fail_field(kSpeculativeConfigField,
                      "{}: prompt_lookup_min is {}, must be at most prompt_lookup_max, {}",
                      kSpeculativeConfigField, config.prompt_lookup_min, config.prompt_lookup_max);
  }
  return config;
}

}  // namespace inferno::app
