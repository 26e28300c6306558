#include "app/speculative_config.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <optional>
#include <string>

namespace inferno::app {
namespace {

namespace json = boost::json;

constexpr const char* kField = "speculative-config";
constexpr std::array<std::string_view, 4> kKeys = {"method", "num_speculative_tokens",
                                                   "prompt_lookup_max", "prompt_lookup_min"};

Result<void> check_keys(const json::object& object) {
  for (const auto& [key, value] : object) {
    if (std::ranges::find(kKeys, std::string_view(key)) != kKeys.end()) continue;
    const char* hint = key == "model" ? ": a draft model is not supported" : "";
    return fail_field(kField, "{}: '{}' is not known{}; known are method, {}, {} and {}", kField,
                      std::string_view(key), hint, kKeys[1], kKeys[2], kKeys[3]);
  }
  return {};
}

Result<engine::SpeculationMethod> method_of(const json::object& object) {
  const json::value* const value = object.if_contains("method");
  if (value == nullptr) return engine::SpeculationMethod::kPromptLookup;
  if (value->is_string()) {
    if (value->get_string() == "ngram") return engine::SpeculationMethod::kPromptLookup;
    if (value->get_string() == "off") return engine::SpeculationMethod::kOff;
  }
  return fail_field(kField, "{}: method is {}, must be \"ngram\" (prompt lookup) or \"off\"{}",
                    kField, json::serialize(*value),
                    *value == "draft_model" ? "; a draft model is not supported" : "");
}

// The number of a key between 1 and `most`; none when the key is not there.
Result<std::optional<int>> number_of(const json::object& object, std::string_view key, int most) {
  const json::value* const value = object.if_contains(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (value->is_int64() && value->get_int64() >= 1 && value->get_int64() <= most) {
    return static_cast<int>(value->get_int64());
  }
  return fail_field(kField, "{}: {} is {}, must be a whole number from 1 to {}", kField, key,
                    json::serialize(*value), most);
}

}  // namespace

Result<engine::SpeculationConfig> parse_speculative_config(std::string_view text) {
  engine::SpeculationConfig config;
  if (text.find_first_not_of(" \t\n\r") == std::string_view::npos) return config;
  boost::system::error_code trouble;
  const json::value value = json::parse(text, trouble);
  if (trouble || !value.is_object()) {
    return fail_field(kField, "{}: {} is not a JSON object such as {}", kField, text,
                      kDefaultSpeculativeConfig);
  }
  const json::object& object = value.get_object();
  if (auto known = check_keys(object); !known) return std::unexpected(known.error());
  const auto method = method_of(object);
  if (!method) return std::unexpected(method.error());
  const auto count = number_of(object, kKeys[1], engine::kMostSpeculativeTokens);
  if (!count) return std::unexpected(count.error());
  const auto longest = number_of(object, kKeys[2], engine::kMostLookupTokens);
  if (!longest) return std::unexpected(longest.error());
  const auto shortest = number_of(object, kKeys[3], engine::kMostLookupTokens);
  if (!shortest) return std::unexpected(shortest.error());
  config.method = *method;
  config.num_speculative_tokens = count->value_or(config.num_speculative_tokens);
  if (*longest || *shortest) {
    config.prompt_lookup_max = longest->value_or(shortest->value_or(0));
    config.prompt_lookup_min = shortest->value_or(config.prompt_lookup_max);
  }
  if (config.prompt_lookup_min > config.prompt_lookup_max) {
    return fail_field(kField, "{}: prompt_lookup_min is {}, must be at most prompt_lookup_max, {}",
                      kField, config.prompt_lookup_min, config.prompt_lookup_max);
  }
  return config;
}

}  // namespace inferno::app
