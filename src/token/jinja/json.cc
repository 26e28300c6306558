#include "token/jinja/json.h"

#include <algorithm>
#include <cmath>

#include "token/jinja/merge_sort.h"
#include "token/jinja/operators.h"
#include "token/jinja/print.h"
#include "token/jinja/text.h"

namespace inferno::token::jinja {
namespace {

Value convert(Budget& budget, const boost::json::value& json, uint32_t depth) {
  if (depth > kMaxValueDepth)
    raise_limit("the conversation is nested deeper than {}", kMaxValueDepth);
  switch (json.kind()) {
    case boost::json::kind::null:
      return Value::none();
    case boost::json::kind::bool_:
      return Value::boolean(json.get_bool());
    case boost::json::kind::int64:
      return Value::integer(json.get_int64());
    case boost::json::kind::uint64:
      return Value::integer(json.get_uint64());
    case boost::json::kind::double_:
      return Value::real(json.get_double());
    case boost::json::kind::string: {
      const auto& text = json.get_string();
      return Value::text(budget, std::string(text.data(), text.size()));
    }
    case boost::json::kind::array: {
      std::vector<Value> items;
      items.reserve(json.get_array().size());
      for (const auto& item : json.get_array())
        items.push_back(convert(budget, item, depth + 1));
      return Value::list(budget, std::move(items));
    }
    case boost::json::kind::object: {
      DictBuilder builder(budget);
      for (const auto& [key, value] : json.get_object()) {
        builder.set(std::string_view(key.data(), key.size()), convert(budget, value, depth + 1));
      }
      return builder.finish();
    }
  }
  return Value::none();
}

class JsonWriter {
 public:
  JsonWriter(Render& render, const JsonStyle& style) : render_(render), style_(style) {}

  std::string run(const Value& value) {
    write(value, 0);
    return std::move(out_);
  }

 private:
  void write(const Value& value, size_t level) {
    const Render::DepthGuard guard(render_);
    render_.budget().work(1);
    switch (value.kind()) {
      case Kind::kNone:
        out_ += "null";
        break;
      case Kind::kBool:
        out_ += value.as_bool() ? "true" : "false";
        break;
      case Kind::kInt:
        out_ += int_text(value.as_int());
        break;
      case Kind::kFloat:
        out_ += real_text(value.as_real());
        break;
      case Kind::kText:
        write_text(value.str());
        break;
      case Kind::kDict:
        write_dict(value.as_dict(), level);
        break;
      default:
        if (!value.is_list_or_tuple()) {
          raise("TypeError: Object of type {} is not JSON serializable", value.type_name());
        }
        write_list(value.items(), level);
    }
    if (out_.size() > kMaxTextBytes) raise_limit("JSON has more than {} bytes", kMaxTextBytes);
  }

  static std::string real_text(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return float_text(value);
  }

  void write_text(std::string_view text) {
    render_.budget().work_bytes(text.size());
    out_ += '"';
    for (size_t at = 0; at < text.size();) {
      const auto byte = static_cast<uint8_t>(text[at]);
      if (byte < 0x80 || !style_.escape_non_ascii) {
        write_byte(text[at++]);
        continue;
      }
      write_escape(decode_at(text, at));
    }
    out_ += '"';
  }

  void write_byte(char byte) {
    switch (byte) {
      case '"':
        out_ += "\\\"";
        return;
      case '\\':
        out_ += "\\\\";
        return;
      case '\n':
        out_ += "\\n";
        return;
      case '\r':
        out_ += "\\r";
        return;
      case '\t':
        out_ += "\\t";
        return;
      case '\f':
        out_ += "\\f";
        return;
      case '\b':
        out_ += "\\b";
        return;
      default:
        break;
    }
    if (static_cast<uint8_t>(byte) < 0x20) {
      out_ += fmt::format("\\u{:04x}", static_cast<unsigned>(byte));
    } else {
      out_ += byte;
    }
  }

  void write_escape(char32_t code) {
    if (code == kNoCharacter) code = 0xFFFD;
    if (code < 0x10000) {
      out_ += fmt::format("\\u{:04x}", static_cast<uint32_t>(code));
      return;
    }
    const auto rest = static_cast<uint32_t>(code - 0x10000);
    out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
  }

  void line_break(size_t level) {
    if (!style_.indent) return;
    out_ += '\n';
    for (size_t i = 0; i < level; ++i)
      out_ += *style_.indent;
    render_.budget().work_bytes(level * style_.indent->size());
  }

  void write_list(const std::vector<Value>& items, size_t level) {
    out_ += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      line_break(level + 1);
      write(items[i], level + 1);
    }
    if (!items.empty()) line_break(level);
    out_ += ']';
  }

  void write_dict(const Dict& dict, size_t level) {
    Dict::Entries sorted;
    if (style_.sort_keys) {
      sorted = dict.entries;
      merge_sort(sorted,
                 [&](const auto& a, const auto& b) { return less(render_, a.first, b.first); });
    }
    const Dict::Entries& entries = style_.sort_keys ? sorted : dict.entries;
    out_ += '{';
    bool first = true;
    for (const auto& [key, value] : entries) {
      if (!first) out_ += style_.item_separator;
      first = false;
      line_break(level + 1);
      write_key(key);
      out_ += style_.key_separator;
      write(value, level + 1);
    }
    if (!entries.empty()) line_break(level);
    out_ += '}';
  }

  void write_key(const Value& key) {
    switch (key.kind()) {
      case Kind::kText:
        write_text(key.str());
        return;
      case Kind::kNone:
        out_ += "\"null\"";
        return;
      case Kind::kBool:
        out_ += key.as_bool() ? "\"true\"" : "\"false\"";
        return;
      case Kind::kInt:
        out_ += '"' + int_text(key.as_int()) + '"';
        return;
      case Kind::kFloat:
        out_ += '"' + real_text(key.as_real()) + '"';
        return;
      default:
        raise("TypeError: keys must be str, int, float, bool or None, not {}", key.type_name());
    }
  }

  Render& render_;
  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

Value from_json(Budget& budget, const boost::json::value& json) {
  return convert(budget, json, 1);
}

std::string to_json(Render& render, const Value& value, const JsonStyle& style) {
  return JsonWriter(render, style).run(value);
}

}  // namespace inferno::token::jinja
