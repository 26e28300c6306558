// The methods of str.
#include <algorithm>
#include <array>

#include "token/jinja/format.h"
#include "token/jinja/library.h"
#include "token/jinja/methods.h"
#include "token/jinja/operators.h"
#include "token/jinja/print.h"
#include "token/jinja/text.h"

namespace inferno::token::jinja {
namespace {

Value like(Render& render, const Value& self, std::string_view text) {
  return render.text_like(self, std::string(text));
}

Value list_like(Render& render, const Value& self, const std::vector<std::string_view>& parts) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (std::string_view part : parts)
    items.push_back(like(render, self, part));
  return render.list(std::move(items));
}

template <std::string (*change)(std::string_view)>
Value method_change(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("str", arguments, {}, 0);
  return like(render, self, change(self.str()));
}

// All code points pass the test, and there is one.
template <bool (*test)(char32_t)>
Value method_all(Render&, const Value& self, Arguments& arguments) {
  const Bound bound("str", arguments, {}, 0);
  const std::string_view text = self.str();
  for (size_t at = 0; at < text.size();) {
    if (!test(decode_at(text, at))) return Value::boolean(false);
  }
  return Value::boolean(!text.empty());
}

bool is_alnum(char32_t code) {
  return is_alpha(code) || is_digit(code);
}
bool is_ascii_code(char32_t code) {
  return code < 0x80;
}

Value method_isascii(Render& render, const Value& self, Arguments& arguments) {
  if (self.str().empty()) return Value::boolean(true);
  return method_all<is_ascii_code>(render, self, arguments);
}

Value method_isprintable(Render& render, const Value& self, Arguments& arguments) {
  if (self.str().empty()) return Value::boolean(true);
  return method_all<is_printable>(render, self, arguments);
}

Value method_isidentifier(Render&, const Value& self, Arguments& arguments) {
  const Bound bound("isidentifier", arguments, {}, 0);
  const std::string_view text = self.str();
  for (size_t at = 0; at < text.size();) {
    const bool first = at == 0;
    const char32_t code = decode_at(text, at);
    const bool good = code == '_' || is_alpha(code) || (!first && is_digit(code));
    if (!good) return Value::boolean(false);
  }
  return Value::boolean(!text.empty());
}

// No letter of the other case, and one of this.
template <bool upper_wanted>
Value method_is_case(Render&, const Value& self, Arguments& arguments) {
  const Bound bound("str", arguments, {}, 0);
  bool cased = false;
  for (size_t at = 0; at < self.str().size();) {
    const char32_t code = decode_at(self.str(), at);
    if (upper_wanted ? is_lower(code) : is_upper(code)) return Value::boolean(false);
    cased |= is_upper(code) || is_lower(code);
  }
  return Value::boolean(cased);
}

// Upper case exactly at the start of every run of letters.
Value method_istitle(Render&, const Value& self, Arguments& arguments) {
  const Bound bound("istitle", arguments, {}, 0);
  bool cased = false;
  bool in_word = false;
  for (size_t at = 0; at < self.str().size();) {
    const char32_t code = decode_at(self.str(), at);
    if ((is_upper(code) && in_word) || (is_lower(code) && !in_word)) return Value::boolean(false);
    in_word = is_upper(code) || is_lower(code);
    cased |= in_word;
  }
  return Value::boolean(cased);
}

template <Side side>
Value method_strip(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("strip", arguments, {"chars"}, 0);
  std::optional<std::string_view> chars;
  if (bound.given(0)) chars = bound.text(0, "");
  render.budget().work_bytes(self.str().size() * (chars ? 1 + chars->size() : 1));
  return like(render, self, strip(self.str(), side, chars));
}

template <Side from>
Value method_split(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("split", arguments, {"sep", "maxsplit"}, 0);
  std::optional<size_t> limit;
  if (bound.integer(1, -1) >= 0) limit = bound.size(1, 0);
  render.budget().work_bytes(self.str().size());
  if (!bound.given(0)) return list_like(render, self, split_words(self.str(), limit, from));
  const std::string_view separator = bound.text(0, "");
  if (separator.empty()) raise("ValueError: empty separator");
  return list_like(render, self, split_at(self.str(), separator, limit, from));
}

Value method_splitlines(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("splitlines", arguments, {"keepends"}, 0);
  const LineEnds ends = bound.truth(0) ? LineEnds::kKeep : LineEnds::kDrop;
  return list_like(render, self, split_lines(self.str(), ends));
}

template <Side from>
Value method_partition(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("partition", arguments, {"sep"});
  const std::string_view separator = bound.text(0, "");
  if (separator.empty()) raise("ValueError: empty separator");
  const auto parts = split_at(self.str(), separator, 1, from);
  std::vector<Value> items;
  if (parts.size() == 2) {
    items = {like(render, self, parts[0]), like(render, self, separator),
             like(render, self, parts[1])};
  } else if (from == Side::kRight) {
    items = {like(render, self, ""), like(render, self, ""), self};
  } else {
    items = {self, like(render, self, ""), like(render, self, "")};
  }
  return Value::tuple(render.budget(), std::move(items));
}

// The part of a text that start and end select, and the number of code points before it.
struct Section {
  std::string_view text;
  size_t skipped = 0;
  bool valid = true;  // false: start lies behind the end, nothing is found there, not even ""
};
Section section(Render& render, const Value& self, const Bound& bound) {
  const Int length = render.length(self);
  auto place = [&](size_t index, Int fallback) {
    Int value = bound.given(index) ? bound.integer(index, fallback) : fallback;
    if (value < 0) value = std::max(Int{0}, std::max(value, -length) + length);
    return value;
  };
  const Int start = place(1, 0);
  const Int end = std::min(place(2, length), length);
  if (start > end) return {{}, 0, false};
  const Value part = slice(render, self, {start, end, std::nullopt});
  // The slice's bytes are a run of the text's own.
  const size_t begin = byte_offset(self.str(), static_cast<size_t>(start));
  return {std::string_view(self.str()).substr(begin, part.str().size()), static_cast<size_t>(start),
          true};
}

template <Side side>
Value method_affix(Render& render, const Value& self, Arguments& arguments) {
  constexpr std::string_view kName = side == Side::kLeft ? "startswith" : "endswith";
  const Bound bound(kName, arguments, {"prefix", "start", "end"});
  const Section in = section(render, self, bound);
  auto matches = [&](const Value& affix) {
    if (!affix.is_text()) {
      raise("TypeError: {} first arg must be str or a tuple of str, not {}", kName,
            affix.type_name());
    }
    if (!in.valid) return false;
    return side == Side::kLeft ? in.text.starts_with(affix.str()) : in.text.ends_with(affix.str());
  };
  const bool tuple = bound[0].is_list_or_tuple() && !bound[0].is_sequence(SequenceKind::kList);
  if (!tuple) return Value::boolean(matches(bound[0]));
  return Value::boolean(std::ranges::any_of(bound[0].items(), matches));
}

enum class Absent : uint8_t { kMinusOne, kRaises };

template <Side from, Absent absent>
Value method_find(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("find", arguments, {"sub", "start", "end"});
  const Section in = section(render, self, bound);
  const std::string_view part = bound.text(0, "");
  render.budget().work_bytes(self.str().size());
  size_t at = std::string_view::npos;
  if (in.valid) at = from == Side::kRight ? in.text.rfind(part) : in.text.find(part);
  if (at == std::string_view::npos) {
    if (absent == Absent::kRaises) raise("ValueError: substring not found");
    return Value::integer(-1);
  }
  return Value::integer(static_cast<Int>(in.skipped + count_code_points(in.text.substr(0, at))));
}

Value method_count(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("count", arguments, {"sub", "start", "end"});
  const Section in = section(render, self, bound);
  render.budget().work_bytes(self.str().size());
  if (!in.valid) return Value::integer(0);
  return Value::integer(static_cast<Int>(count_occurrences(in.text, bound.text(0, ""))));
}

Value method_replace(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  std::optional<size_t> limit;
  if (bound.integer(2, -1) >= 0) limit = bound.size(2, 0);
  std::string to(bound.text(1, ""));
  if (self.as_text().markup && !bound[1].as_text().markup) to = escape_html(to);
  return replace_text(render, self, {bound.text(0, ""), to, limit});
}

Value method_join(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("join", arguments, {"iterable"});
  const bool markup = self.as_text().markup;
  std::string out;
  size_t place = 0;
  const auto iterator = render.iterate(bound[0]);
  for (Value item; iterator->next(render, item); ++place) {
    if (!item.is_text() && !markup) {
      raise("TypeError: sequence item {}: expected str instance, {} found", place,
            item.type_name());
    }
    if (place > 0) out += self.str();
    const std::string text = to_text(render, item);
    out += markup && !(item.is_text() && item.as_text().markup) ? escape_html(text) : text;
    render.budget().work_bytes(self.str().size());
    if (out.size() > kMaxTextBytes) raise_limit("a text has more than {} bytes", kMaxTextBytes);
  }
  return like(render, self, out);
}

template <Alignment alignment>
Value method_pad(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("pad", arguments, {"width", "fillchar"});
  const std::string fill(bound.text(1, " "));
  if (count_code_points(fill) != 1) {
    raise("TypeError: The fill character must be exactly one character long");
  }
  return like(render, self, pad(self.str(), {bound.size(0, 0), alignment, fill}));
}

Value method_zfill(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("zfill", arguments, {"width"});
  const std::string& text = self.str();
  const size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  const size_t width = bound.size(0, 0);
  const Padding padding{width - std::min(sign, width), Alignment::kRight, "0"};
  return like(render, self,
              text.substr(0, sign) + pad(std::string_view(text).substr(sign), padding));
}

Value method_expandtabs(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("expandtabs", arguments, {"tabsize"}, 0);
  const size_t tab = bound.size(0, 8);
  std::string out;
  size_t column = 0;
  for (std::string_view part : split_code_points(self.str())) {
    if (part == "\t") {
      const size_t spaces = tab == 0 ? 0 : tab - column % tab;
      out.append(spaces, ' ');
      column += spaces;
    } else {
      out += part;
      column = part == "\n" || part == "\r" ? 0 : column + 1;
    }
    if (out.size() > kMaxTextBytes) raise_limit("a text has more than {} bytes", kMaxTextBytes);
  }
  return like(render, self, out);
}

template <Side side>
Value method_remove(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("remove", arguments, {"affix"});
  std::string_view text = self.str();
  const std::string_view affix = bound.text(0, "");
  if (side == Side::kLeft && text.starts_with(affix)) text.remove_prefix(affix.size());
  if (side == Side::kRight && text.ends_with(affix)) text.remove_suffix(affix.size());
  return like(render, self, text);
}

Value method_format(Render& render, const Value& self, Arguments& arguments) {
  return format_braces(render, self, arguments);
}

Value method_format_map(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("format_map", arguments, {"mapping"});
  if (!bound[0].is(Kind::kDict))
    raise("TypeError: format_map needs a dict, not {}", bound[0].type_name());
  Arguments named;
  for (const auto& [key, value] : bound[0].as_dict().entries) {
    if (key.is_text()) named.named.emplace_back(key.str(), value);
  }
  return format_braces(render, self, named);
}

constexpr std::array<Method, 44> kMethods = {{
    {"capitalize", method_change<capitalize>},
    {"casefold", method_change<lower>},
    {"center", method_pad<Alignment::kCenter>},
    {"count", method_count},
    {"endswith", method_affix<Side::kRight>},
    {"expandtabs", method_expandtabs},
    {"find", method_find<Side::kLeft, Absent::kMinusOne>},
    {"format", method_format},
    {"format_map", method_format_map},
    {"index", method_find<Side::kLeft, Absent::kRaises>},
    {"isalnum", method_all<is_alnum>},
    {"isalpha", method_all<is_alpha>},
    {"isascii", method_isascii},
    {"isdecimal", method_all<is_digit>},
    {"isdigit", method_all<is_digit>},
    {"isidentifier", method_isidentifier},
    {"islower", method_is_case<false>},
    {"isnumeric", method_all<is_digit>},
    {"isprintable", method_isprintable},
    {"isspace", method_all<is_space>},
    {"istitle", method_istitle},
    {"isupper", method_is_case<true>},
    {"join", method_join},
    {"ljust", method_pad<Alignment::kLeft>},
    {"lower", method_change<lower>},
    {"lstrip", method_strip<Side::kLeft>},
    {"partition", method_partition<Side::kLeft>},
    {"removeprefix", method_remove<Side::kLeft>},
    {"removesuffix", method_remove<Side::kRight>},
    {"replace", method_replace},
    {"rfind", method_find<Side::kRight, Absent::kMinusOne>},
    {"rindex", method_find<Side::kRight, Absent::kRaises>},
    {"rjust", method_pad<Alignment::kRight>},
    {"rpartition", method_partition<Side::kRight>},
    {"rsplit", method_split<Side::kRight>},
    {"rstrip", method_strip<Side::kRight>},
    {"split", method_split<Side::kLeft>},
    {"splitlines", method_splitlines},
    {"startswith", method_affix<Side::kLeft>},
    {"strip", method_strip<Side::kBoth>},
    {"swapcase", method_change<swap_case>},
    {"title", method_change<title>},
    {"upper", method_change<upper>},
    {"zfill", method_zfill},
}};

}  // namespace

const Method* find_text_method(std::string_view name) {
  const auto found = std::ranges::find(kMethods, name, &Method::name);
  return found == kMethods.end() ? nullptr : found;
}

}  // namespace inferno::token::jinja
