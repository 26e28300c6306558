// Filters over numbers and values of any kind.
#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <charconv>
#include <cmath>

#include "token/jinja/json.h"
#include "token/jinja/library.h"
#include "token/jinja/operators.h"
#include "token/jinja/print.h"
#include "token/jinja/text.h"

namespace inferno::token::jinja {
namespace {

Value filter_default(Render&, Arguments& arguments) {
  const Bound bound("default", arguments, {"value", "default_value", "boolean"});
  const bool replaced = bound[0].is_undefined() || (bound.truth(2) && !bound[0].truthy());
  if (!replaced) return bound[0];
  return bound.has(1) ? bound[1] : Value::constant("");
}

Value filter_abs(Render&, Arguments& arguments) {
  const Bound bound("abs", arguments, {"x"});
  require_defined(bound[0]);
  if (!bound[0].is_number())
    raise("TypeError: bad operand type for abs(): '{}'", bound[0].type_name());
  if (bound[0].is(Kind::kFloat)) return Value::real(std::fabs(bound[0].as_real()));
  return bound[0].as_int() < 0 ? negate(bound[0]) : unary_plus(bound[0]);
}

// Python's attribute only, not the item: of a dictionary, its methods.
Value filter_attr(Render& render, Arguments& arguments) {
  const Bound bound("attr", arguments, {"obj", "name"}, 2);
  const std::string_view name = bound.text(1, "");
  if (bound[0].is(Kind::kDict)) {
    const Value without_entries = DictBuilder(render.budget()).finish();
    if (render.attribute(without_entries, name).is_undefined())
      return Render::missing(bound[0], name);
  }
  return render.attribute(bound[0], name);
}

int digit_of(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  if (byte >= 'a' && byte <= 'z') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'Z') return byte - 'A' + 10;
  return 99;
}

// Python's int(text, base); nothing when it would raise a ValueError.
std::optional<Int> parse_int(std::string_view text, Int base) {
  text = strip(text);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.size() > 2 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    const Int marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked != 0 && (base == marked || base == 0)) {
      base = marked;
      text.remove_prefix(text[2] == '_' ? 3 : 2);
    }
  }
  if (base == 0) base = 10;
  if (text.empty() || base < 2 || base > 36) return std::nullopt;
  Int value = 0;
  bool after_digit = false;
  for (char byte : text) {
    if (byte == '_' && after_digit) {
      after_digit = false;
      continue;
    }
    const int digit = digit_of(byte);
    if (digit >= base) return std::nullopt;
    if (__builtin_mul_overflow(value, base, &value) ||
        __builtin_add_overflow(value, Int{digit}, &value)) {
      raise("OverflowError: an integer has more than 127 bits, more than this interpreter keeps");
    }
    after_digit = true;
  }
  if (!after_digit) return std::nullopt;
  return negative ? -value : value;
}

// Python's float(text); nothing when it would raise a ValueError.
std::optional<double> parse_real(std::string_view text) {
  std::string digits(strip(text));
  std::erase(digits, '_');
  std::string_view rest = digits;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  const std::string name = lower(rest);
  if (name == "inf" || name == "infinity") return negative ? -HUGE_VAL : HUGE_VAL;
  if (name == "nan") return std::nan("");
  if (rest.empty() || !(rest[0] == '.' || (rest[0] >= '0' && rest[0] <= '9'))) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (end != rest.data() + rest.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    value = std::strtod(std::string(rest).c_str(), nullptr);  // infinity, or a number next to zero
  } else if (error != std::errc()) {
    return std::nullopt;
  }
  return negative ? -value : value;
}

Value filter_int(Render&, Arguments& arguments) {
  const Bound bound("int", arguments, {"value", "default", "base"});
  const Value fallback = bound.has(1) ? bound[1] : Value::integer(0);
  const Value& value = bound[0];
  require_defined(value);
  std::optional<double> real;
  if (value.is_integral()) return unary_plus(value);
  if (value.is(Kind::kFloat)) real = value.as_real();
  if (value.is_text()) {
    if (const auto parsed = parse_int(value.str(), bound.integer(2, 10)))
      return Value::integer(*parsed);
    real = parse_real(value.str());
  }
  if (!real || !std::isfinite(*real)) return fallback;
  return Value::integer(to_int(*real));
}

Value filter_float(Render&, Arguments& arguments) {
  const Bound bound("float", arguments, {"value", "default"});
  const Value fallback = bound.has(1) ? bound[1] : Value::real(0.0);
  require_defined(bound[0]);
  if (bound[0].is_number()) return Value::real(bound[0].to_real());
  if (!bound[0].is_text()) return fallback;
  const auto parsed = parse_real(bound[0].str());
  return parsed ? Value::real(*parsed) : fallback;
}

constexpr int kMaxRoundDigits = 300;

// Halves go to the even neighbour, of the number as it is stored: 2.675 is a little less and
// becomes 2.67.
double round_half_even(double value, int digits) {
  if (!std::isfinite(value)) return value;
  if (digits >= 0) return std::strtod(fmt::format("{:.{}f}", value, digits).c_str(), nullptr);
  const double unit = std::pow(10.0, -digits);
  return std::nearbyint(value / unit) * unit;
}

Value filter_round(Render&, Arguments& arguments) {
  const Bound bound("round", arguments, {"value", "precision", "method"});
  const std::string_view method = bound.text(2, "common");
  const auto digits = static_cast<int>(
      std::clamp(bound.integer(1, 0), Int{-kMaxRoundDigits}, Int{kMaxRoundDigits}));
  require_defined(bound[0]);
  if (method != "common" && method != "ceil" && method != "floor") {
    raise("FilterArgumentError: method must be common, ceil or floor");
  }
  if (!bound[0].is_number()) {
    raise("TypeError: type {} doesn't define __round__ method", bound[0].type_name());
  }
  if (method == "common") {
    if (bound[0].is(Kind::kFloat)) return Value::real(round_half_even(bound[0].as_real(), digits));
    if (digits >= 0) return unary_plus(bound[0]);
    return Value::integer(to_int(round_half_even(bound[0].to_real(), digits)));
  }
  const double scale = std::pow(10.0, digits);
  const double scaled = bound[0].to_real() * scale;
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

JsonStyle json_style(const Bound& bound) {
  JsonStyle style;
  style.escape_non_ascii = bound.truth(1);
  style.sort_keys = bound.truth(4);
  if (bound.given(2)) {
    style.indent = bound[2].is_text() ? bound[2].str()
                                      : std::string(std::min<size_t>(bound.size(2, 0), 1000), ' ');
    style.item_separator.assign(1, ',');
  }
  if (!bound.given(3)) return style;
  const bool pair = bound[3].is_list_or_tuple() && bound[3].items().size() == 2 &&
                    bound[3].items()[0].is_text() && bound[3].items()[1].is_text();
  if (!pair) raise("TypeError: tojson(): separators must be two strings");
  style.item_separator = bound[3].items()[0].str();
  style.key_separator = bound[3].items()[1].str();
  return style;
}

Value filter_tojson(Render& render, Arguments& arguments) {
  const Bound bound("tojson", arguments,
                    {"x", "ensure_ascii", "indent", "separators", "sort_keys"});
  return render.text(to_json(render, bound[0], json_style(bound)));
}

Value filter_from_json(Render& render, Arguments& arguments) {
  const Bound bound("from_json", arguments, {"value"});
  const std::string text(bound.text(0, ""));
  render.budget().work_bytes(4 * text.size());
  boost::json::error_code error;
  const boost::json::value parsed = boost::json::parse(text, error);
  if (error) raise("JSONDecodeError: {}", error.message());
  return from_json(render.budget(), parsed);
}

Value filter_pprint(Render& render, Arguments& arguments) {
  const Bound bound("pprint", arguments, {"value"});
  return render.text(to_pretty(render, bound[0]));
}

Value filter_filesizeformat(Render& render, Arguments& arguments) {
  const Bound bound("filesizeformat", arguments, {"value", "binary"});
  require_defined(bound[0]);
  const bool binary = bound.truth(1);
  std::optional<double> bytes;
  if (bound[0].is_number()) bytes = bound[0].to_real();
  if (bound[0].is_text()) bytes = parse_real(bound[0].str());
  if (!bytes) raise("ValueError: could not convert to float: {}", to_repr(render, bound[0]));
  const double base = binary ? 1024 : 1000;
  if (*bytes == 1) return render.text("1 Byte");
  if (*bytes < base) return render.text(fmt::format("{} Bytes", int_text(to_int(*bytes))));
  constexpr std::string_view kLetters = "kMGTPEZY";
  size_t letter = 0;
  double unit = base;
  while (*bytes >= unit * base && letter + 1 < kLetters.size()) {
    unit *= base;
    ++letter;
  }
  const char mark = binary && letter == 0 ? 'K' : kLetters[letter];
  return render.text(fmt::format("{:.1f} {}{}", *bytes / unit, mark, binary ? "iB" : "B"));
}

constexpr std::array<Builtin, 11> kValueFilters = {{
    {"abs", filter_abs},
    {"attr", filter_attr},
    {"d", filter_default},
    {"default", filter_default},
    {"filesizeformat", filter_filesizeformat},
    {"float", filter_float},
    {"from_json", filter_from_json},
    {"int", filter_int},
    {"pprint", filter_pprint},
    {"round", filter_round},
    {"tojson", filter_tojson},
}};

}  // namespace

BuiltinFunction find_value_filter(std::string_view name) {
  const auto found = std::ranges::find(kValueFilters, name, &Builtin::name);
  return found == kValueFilters.end() ? nullptr : found->function;
}

}  // namespace inferno::token::jinja
