#include "token/jinja/print.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "token/jinja/merge_sort.h"
#include "token/jinja/text.h"

namespace inferno::token::jinja {
namespace {

void append(Render& render, std::string& out, std::string_view part) {
  render.budget().work_bytes(part.size());
  out += part;
  if (out.size() > kMaxTextBytes) {
    raise_limit("a printed value has more than {} bytes", kMaxTextBytes);
  }
}

void append_repr(Render& render, std::string& out, const Value& value);

void append_items(Render& render, std::string& out, const std::vector<Value>& items) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) append(render, out, ", ");
    append_repr(render, out, items[i]);
  }
}

std::string range_repr(const std::vector<Value>& items) {
  const Int start = items.empty() ? 0 : items.front().as_int();
  const Int step = items.size() < 2 ? 1 : items[1].as_int() - start;
  const Int stop = items.empty() ? 0 : items.back().as_int() + (step > 0 ? 1 : -1);
  if (step == 1) return fmt::format("range({}, {})", int_text(start), int_text(stop));
  return fmt::format("range({}, {}, {})", int_text(start), int_text(stop), int_text(step));
}

void append_sequence(Render& render, std::string& out, const Sequence& sequence) {
  const auto& items = sequence.items;
  switch (sequence.kind) {
    case SequenceKind::kTuple:
    case SequenceKind::kGroup:
      out += '(';
      append_items(render, out, items);
      out += items.size() == 1 ? ",)" : ")";
      return;
    case SequenceKind::kRange:
      append(render, out, range_repr(items));
      return;
    case SequenceKind::kDictKeys:
      out += "dict_keys([";
      break;
    case SequenceKind::kDictValues:
      out += "dict_values([";
      break;
    case SequenceKind::kDictItems:
      out += "dict_items([";
      break;
    case SequenceKind::kList:
      out += '[';
      break;
  }
  append_items(render, out, items);
  out += sequence.kind == SequenceKind::kList ? "]" : "])";
}

void append_repr(Render& render, std::string& out, const Value& value) {
  const Render::DepthGuard guard(render);
  switch (value.kind()) {
    case Kind::kText:
      if (value.as_text().markup) {
        append(render, out, fmt::format("Markup({})", quote(value.str())));
      } else {
        append(render, out, quote(value.str()));
      }
      return;
    case Kind::kSequence:
      append_sequence(render, out, value.as_sequence());
      return;
    case Kind::kDict: {
      out += '{';
      bool first = true;
      for (const auto& [key, element] : value.as_dict().entries) {
        if (!first) out += ", ";
        first = false;
        append_repr(render, out, key);
        append(render, out, ": ");
        append_repr(render, out, element);
      }
      out += '}';
      return;
    }
    case Kind::kUndefined:
      append(render, out, "Undefined");
      return;
    case Kind::kObject:
      append(render, out, value.as_object()->repr(render));
      return;
    default:
      append(render, out, to_text(render, value));
  }
}

constexpr size_t kPrettyWidth = 80;

void append_pretty(Render& render, std::string& out, const Value& value, size_t indent);

void append_pretty_items(Render& render, std::string& out, const std::vector<Value>& items,
                         size_t indent) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) append(render, out, ",\n" + std::string(indent, ' '));
    append_pretty(render, out, items[i], indent);
  }
}

// The entries of a dictionary in the order of their keys where those are strings.
Dict::Entries sorted_entries(const Dict& dict) {
  Dict::Entries entries = dict.entries;
  const bool text_keys =
      std::ranges::all_of(entries, [](const auto& entry) { return entry.first.is_text(); });
  if (text_keys) {
    merge_sort(entries, [](const auto& a, const auto& b) { return a.first.str() < b.first.str(); });
  }
  return entries;
}

void append_pretty_dict(Render& render, std::string& out, const Dict& dict, size_t indent) {
  out += '{';
  bool first = true;
  for (const auto& [key, element] : sorted_entries(dict)) {
    if (!first) append(render, out, ",\n" + std::string(indent + 1, ' '));
    first = false;
    std::string name = to_repr(render, key) + ": ";
    append(render, out, name);
    append_pretty(render, out, element, indent + 1 + count_code_points(name));
  }
  out += '}';
}

// repr() with the keys of every dictionary sorted.
std::string sorted_repr(Render& render, const Value& value) {
  const Render::DepthGuard guard(render);
  std::string out;
  if (value.is(Kind::kDict)) {
    for (const auto& [key, element] : sorted_entries(value.as_dict())) {
      append(render, out, out.empty() ? "{" : ", ");
      append(render, out, to_repr(render, key) + ": " + sorted_repr(render, element));
    }
    return out.empty() ? "{}" : out + "}";
  }
  if (!value.is_list_or_tuple()) return to_repr(render, value);
  const bool tuple = !value.is_sequence(SequenceKind::kList);
  for (const Value& element : value.items()) {
    append(render, out, out.empty() ? (tuple ? "(" : "[") : ", ");
    append(render, out, sorted_repr(render, element));
  }
  if (out.empty()) return tuple ? "()" : "[]";
  if (!tuple) return out + "]";
  return out + (value.items().size() == 1 ? ",)" : ")");
}

void append_pretty(Render& render, std::string& out, const Value& value, size_t indent) {
  const Render::DepthGuard guard(render);
  const std::string flat = sorted_repr(render, value);
  const bool fits = indent + count_code_points(flat) < kPrettyWidth;
  if (!fits && value.is(Kind::kDict)) {
    append_pretty_dict(render, out, value.as_dict(), indent);
  } else if (!fits && value.is_list_or_tuple()) {
    const bool tuple = !value.is_sequence(SequenceKind::kList);
    out += tuple ? '(' : '[';
    append_pretty_items(render, out, value.items(), indent + 1);
    out += tuple ? (value.items().size() == 1 ? ",)" : ")") : "]";
  } else {
    append(render, out, flat);
  }
}

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 64> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                          std::chars_format::scientific);
  const std::string_view scientific(buffer.data(), static_cast<size_t>(end - buffer.data()));
  const size_t mark = scientific.find('e');
  const int exponent = std::atoi(std::string(scientific.substr(mark + 1)).c_str());
  if (exponent < -4 || exponent >= 16) return std::string(scientific);
  const auto [fixed_end, fixed_error] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed);
  std::string fixed(buffer.data(), static_cast<size_t>(fixed_end - buffer.data()));
  if (!fixed.contains('.')) fixed += ".0";
  return fixed;
}

std::string int_text(Int value) {
  return fmt::format("{}", value);
}

std::string to_text(Render& render, const Value& value) {
  switch (value.kind()) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return value.as_bool() ? "True" : "False";
    case Kind::kInt:
      return int_text(value.as_int());
    case Kind::kFloat:
      return float_text(value.as_real());
    case Kind::kText:
      render.budget().work_bytes(value.str().size());
      return value.str();
    case Kind::kUndefined:
      return "";
    default:
      return to_repr(render, value);
  }
}

std::string to_repr(Render& render, const Value& value) {
  std::string out;
  append_repr(render, out, value);
  return out;
}

std::string to_pretty(Render& render, const Value& value) {
  std::string out;
  append_pretty(render, out, value, 0);
  return out;
}

}  // namespace inferno::token::jinja
