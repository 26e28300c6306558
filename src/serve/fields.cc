#include "serve/fields.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <exception>
#include <new>

namespace inferno::serve {

namespace json = boost::json;

namespace {

constexpr size_t kShownBytes = 80;

// The whole number that a JSON value stands for, if it is one that int64_t holds.
std::optional<int64_t> whole_number(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (value.is_double()) {
    const double number = value.get_double();
    // 2^63 as a double is exact; from there on int64_t ends.
    constexpr double kLimit = 9223372036854775808.0;
    if (number == std::floor(number) && number >= -kLimit && number < kLimit) {
      return static_cast<int64_t>(number);
    }
  }
  return std::nullopt;
}

std::string bounds_text(const NumberLimits& limits) {
  std::string out = "must be a number";
  if (std::isfinite(limits.above)) out += fmt::format(" above {}", limits.above);
  if (std::isfinite(limits.min)) out += fmt::format(" of at least {}", limits.min);
  if (std::isfinite(limits.max))
    out += fmt::format("{} at most {}",
                       std::isfinite(limits.min) || std::isfinite(limits.above) ? " and" : " of",
                       limits.max);
  return out;
}

std::string bounds_text(const IntegerLimits& limits) {
  constexpr IntegerLimits kAll;
  if (limits.min == kAll.min && limits.max == kAll.max) return "must be a 64-bit integer";
  if (limits.max == kAll.max) return fmt::format("must be an integer of at least {}", limits.min);
  return fmt::format("must be an integer from {} to {}", limits.min, limits.max);
}

}  // namespace

Result<json::object> parse_json_object(std::string_view body) {
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  try {
    json::error_code error;
    json::value value = json::parse({body.data(), body.size()}, error, {}, options);
    if (error == json::error::too_deep) {
      return fail(Fault::kInvalid, "The request's body nests deeper than {} levels.",
                  kMaxJsonDepth);
    }
    if (error) {
      return fail(Fault::kInvalid, "The request's body is not JSON: {}.", error.message());
    }
    if (!value.is_object()) {
      return fail(Fault::kInvalid, "The request's body is {}, must be a JSON object.",
                  shown(value));
    }
    return std::move(value.get_object());
  } catch (const std::bad_alloc&) {
    return fail(Fault::kOverloaded, "There is no memory now for the request's body of {} bytes.",
                body.size());
  } catch (const std::exception& error) {
    return fail(Fault::kInvalid, "The request's body cannot be read: {}.", error.what());
  }
}

std::string shown(const json::value& value) {
  // Long values are not serialized whole only to be cut.
  if (value.is_array()) return fmt::format("a list of {}", value.get_array().size());
  if (value.is_object()) return fmt::format("an object of {} fields", value.get_object().size());
  if (value.is_double()) return fmt::format("{}", value.get_double());  // 1.5, not 1.5E0
  if (!value.is_string()) return json::serialize(value);
  const json::string& text = value.get_string();
  if (text.size() <= kShownBytes) return json::serialize(value);
  size_t end = kShownBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  std::string out = json::serialize(json::value(json::string_view(text.data(), end)));
  out.pop_back();
  return out + "...\"";
}

const json::value* FieldReader::any(std::string_view name) {
  const json::value* value = object_.if_contains({name.data(), name.size()});
  return value == nullptr || value->is_null() ? nullptr : value;
}

void FieldReader::refuse(std::string_view name, std::string_view must) {
  if (error_) return;
  const json::value* value = object_.if_contains({name.data(), name.size()});
  error_ = Error{Fault::kInvalid,
                 value == nullptr ? fmt::format("{} is missing, {}", name, must)
                                  : fmt::format("{} is {}, {}", name, shown(*value), must),
                 std::string(name)};
}

void FieldReader::refuse(Error error) {
  if (!error_) error_ = std::move(error);
}

std::optional<double> FieldReader::number(std::string_view name, NumberLimits limits) {
  const json::value* value = any(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) {
    const double number = value->to_number<double>();
    if (std::isfinite(number) && number >= limits.min && number <= limits.max &&
        number > limits.above) {
      return number;
    }
  }
  refuse(name, bounds_text(limits));
  return std::nullopt;
}

std::optional<int64_t> FieldReader::integer(std::string_view name, IntegerLimits limits) {
  const json::value* value = any(name);
  if (value == nullptr) return std::nullopt;
  const auto number = whole_number(*value);
  if (number && *number >= limits.min && *number <= limits.max) return number;
  refuse(name, bounds_text(limits));
  return std::nullopt;
}

std::optional<bool> FieldReader::boolean(std::string_view name) {
  const json::value* value = any(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->get_bool();
  refuse(name, "must be true or false");
  return std::nullopt;
}

std::optional<std::string> FieldReader::text(std::string_view name) {
  const json::value* value = any(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return std::string(value->get_string());
  refuse(name, "must be a string");
  return std::nullopt;
}

std::optional<std::vector<TokenId>> FieldReader::token_ids(std::string_view name, int vocab_size) {
  const json::array* list = array(name);
  if (list == nullptr) return std::nullopt;
  std::vector<TokenId> ids;
  ids.reserve(list->size());
  for (const json::value& element : *list) {
    const auto id = whole_number(element);
    if (!id || *id < 0 || *id >= vocab_size) {
      refuse(Error{Fault::kInvalid,
                   fmt::format("{}[{}] is {}, must be a token id from 0 to {}", name, ids.size(),
                               shown(element), vocab_size - 1),
                   std::string(name)});
      return std::nullopt;
    }
    ids.push_back(static_cast<TokenId>(*id));
  }
  return ids;
}

std::optional<std::vector<std::string>> FieldReader::texts(std::string_view name) {
  const json::value* value = any(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return std::vector{std::string(value->get_string())};
  std::vector<std::string> out;
  if (value->is_array()) {
    for (const json::value& element : value->get_array()) {
      if (!element.is_string()) break;
      out.emplace_back(element.get_string());
    }
    if (out.size() == value->get_array().size()) return out;
  }
  refuse(name, "must be a string or a list of strings");
  return std::nullopt;
}

const json::array* FieldReader::array(std::string_view name) {
  const json::value* value = any(name);
  if (value == nullptr) return nullptr;
  if (value->is_array()) return &value->get_array();
  refuse(name, "must be a list");
  return nullptr;
}

const json::object* FieldReader::object(std::string_view name) {
  const json::value* value = any(name);
  if (value == nullptr) return nullptr;
  if (value->is_object()) return &value->get_object();
  refuse(name, "must be an object");
  return nullptr;
}

}  // namespace inferno::serve
