// Filters over text.
#include <algorithm>
#include <array>

#include "token/jinja/format.h"
#include "token/jinja/library.h"
#include "token/jinja/operators.h"
#include "token/jinja/print.h"
#include "token/jinja/text.h"

namespace inferno::token::jinja {
namespace {

// A value as text that stays markup where it is markup.
Value soft_text(Render& render, const Value& value) {
  return value.is_text() ? value : render.text(to_text(render, value));
}

Value filter_string(Render& render, Arguments& arguments) {
  const Bound bound("string", arguments, {"object"});
  return soft_text(render, bound[0]);
}

template <std::string (*change)(std::string_view)>
Value filter_case(Render& render, Arguments& arguments) {
  const Bound bound("case", arguments, {"s"});
  const Value text = soft_text(render, bound[0]);
  return render.text_like(text, change(text.str()));
}

bool is_word_separator(char32_t code) {
  return code == '-' || code == '(' || code == '{' || code == '[' || code == '<' || is_space(code);
}

// The first character of every word upper, the rest lower; words end at white space and - ( { [ <.
Value filter_title(Render& render, Arguments& arguments) {
  const Bound bound("title", arguments, {"s"});
  const std::string text = to_text(render, bound[0]);
  std::string out;
  size_t word = 0;
  auto flush = [&](size_t end) {
    out += capitalize(std::string_view(text).substr(word, end - word));
  };
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    if (!is_word_separator(decode_at(text, at))) continue;
    flush(begin);
    out += text.substr(begin, at - begin);
    word = at;
  }
  flush(text.size());
  return render.text(std::move(out));
}

Value filter_trim(Render& render, Arguments& arguments) {
  const Bound bound("trim", arguments, {"value", "chars"});
  const Value text = soft_text(render, bound[0]);
  std::optional<std::string_view> chars;
  if (bound.given(1)) {
    chars = bound.text(1, "");
    render.budget().work_bytes(text.str().size() * (1 + chars->size()));
  }
  return render.text_like(text, std::string(strip(text.str(), Side::kBoth, chars)));
}

Value filter_replace(Render& render, Arguments& arguments) {
  const Bound bound("replace", arguments, {"s", "old", "new", "count"}, 3);
  const std::string text = to_text(render, bound[0]);
  const std::string from = to_text(render, bound[1]);
  const std::string to = to_text(render, bound[2]);
  std::optional<size_t> limit;
  if (bound.given(3) && bound.integer(3, -1) >= 0) limit = bound.size(3, 0);
  return replace_text(render, render.text(text), {from, to, limit});
}

Value filter_escape(Render& render, Arguments& arguments) {
  const Bound bound("escape", arguments, {"s"});
  if (bound[0].is_text() && bound[0].as_text().markup) return bound[0];
  return Value::text(render.budget(), escape_html(to_text(render, bound[0])), Markup::kYes);
}

Value filter_force_escape(Render& render, Arguments& arguments) {
  const Bound bound("forceescape", arguments, {"value"});
  return Value::text(render.budget(), escape_html(to_text(render, bound[0])), Markup::kYes);
}

Value filter_safe(Render& render, Arguments& arguments) {
  const Bound bound("safe", arguments, {"value"});
  return Value::text(render.budget(), to_text(render, bound[0]), Markup::kYes);
}

Value filter_center(Render& render, Arguments& arguments) {
  const Bound bound("center", arguments, {"value", "width"});
  const Value text = soft_text(render, bound[0]);
  return render.text_like(text, pad(text.str(), {bound.size(1, 80), Alignment::kCenter, " "}));
}

Value filter_indent(Render& render, Arguments& arguments) {
  const Bound bound("indent", arguments, {"s", "width", "first", "blank"});
  if (!bound[0].is_text()) {
    apply(render, BinaryOperator::kAdd, bound[0], render.text("\n"));  // raises as Python does
  }
  const bool by_text = bound.has(1) && bound[1].is_text();
  const std::string indention = by_text ? bound[1].str() : std::string(bound.size(1, 4), ' ');
  const bool blank = bound.truth(3);
  const std::string text = bound[0].str() + "\n";
  const auto lines = split_lines(text);
  std::string out = bound.truth(2) ? indention : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += indention;
    out += lines[i];
    render.budget().work_bytes(indention.size());
    if (out.size() > kMaxTextBytes) raise_limit("a text has more than {} bytes", kMaxTextBytes);
  }
  return render.text_like(bound[0], std::move(out));
}

Value filter_truncate(Render& render, Arguments& arguments) {
  const Bound bound("truncate", arguments, {"s", "length", "killwords", "end", "leeway"});
  const Int length = bound.integer(1, 255);
  const std::string_view end = bound.text(3, "...");
  const Int leeway = bound.given(4) ? bound.integer(4, 5) : 5;
  const auto end_length = static_cast<Int>(count_code_points(end));
  if (length < end_length) {
    raise("AssertionError: expected length >= {}, got {}", int_text(end_length), int_text(length));
  }
  if (leeway < 0) raise("AssertionError: expected leeway >= 0, got {}", int_text(leeway));
  if (render.length(bound[0]) <= length + leeway) return bound[0];
  std::string kept =
      slice(render, bound[0], {std::nullopt, length - end_length, std::nullopt}).str();
  if (!bound.truth(2)) {
    const size_t space = kept.rfind(' ');
    if (space != std::string::npos) kept.resize(space);
  }
  return render.text_like(bound[0], kept + std::string(end));
}

struct WrapRule {
  size_t width;
  bool break_long_words;
  bool break_on_hyphens;
};

// One line as the chunks that stay together: words (cut behind hyphens between letters), and the
// white space between.
std::vector<std::string_view> wrap_chunks(std::string_view line, const WrapRule& rule) {
  std::vector<std::string_view> chunks;
  size_t begin = 0;
  bool space = false;
  char32_t previous = ' ';
  auto cut = [&](size_t end) {
    if (end > begin) chunks.push_back(line.substr(begin, end - begin));
    begin = end;
  };
  for (size_t at = 0; at < line.size();) {
    const size_t here = at;
    const char32_t code = decode_at(line, at);
    if (is_space(code) != space) cut(here);
    space = is_space(code);
    const bool hyphen = rule.break_on_hyphens && code == '-' && is_alpha(previous) &&
                        at < line.size() && is_alpha(static_cast<uint8_t>(line[at]));
    if (hyphen) cut(at);
    previous = code;
  }
  cut(line.size());
  return chunks;
}

// Greedy lines of at most `width` code points, as Python's textwrap.wrap without expanding or
// replacing white space.
void wrap_line(std::string_view line, const WrapRule& rule, std::vector<std::string>& out) {
  auto chunks = wrap_chunks(line, rule);
  std::ranges::reverse(chunks);
  auto blank = [](std::string_view chunk) { return strip(chunk).empty(); };
  while (!chunks.empty()) {
    if (blank(chunks.back()) && !out.empty()) {
      chunks.pop_back();
      continue;
    }
    std::string current;
    size_t length = 0;
    std::string_view last;
    while (!chunks.empty() && length + count_code_points(chunks.back()) <= rule.width) {
      last = chunks.back();
      current += last;
      length += count_code_points(last);
      chunks.pop_back();
    }
    if (!chunks.empty() && count_code_points(chunks.back()) > rule.width) {
      std::string_view& word = chunks.back();
      if (rule.break_long_words) {
        const size_t cut = byte_offset(word, std::max<size_t>(1, rule.width - length));
        current += last = word.substr(0, cut);
        word.remove_prefix(cut);
      } else if (current.empty()) {
        current += last = word;
        chunks.pop_back();
      }
    }
    if (blank(last)) current.resize(current.size() - last.size());
    if (!current.empty()) out.push_back(std::move(current));
  }
}

Value filter_wordwrap(Render& render, Arguments& arguments) {
  const Bound bound("wordwrap", arguments,
                    {"s", "width", "break_long_words", "wrapstring", "break_on_hyphens"});
  const WrapRule rule{bound.size(1, 79), bound.truth_unless_given(2), bound.truth_unless_given(4)};
  if (rule.width == 0) raise("ValueError: invalid width 0 (must be > 0)");
  const std::string glue(bound.given(3) ? bound.text(3, "\n") : "\n");
  const std::string text = to_text(render, bound[0]);
  render.budget().work(1 + text.size() / 2);
  std::string out;
  bool first = true;
  for (std::string_view line : split_lines(text)) {
    std::vector<std::string> wrapped;
    wrap_line(line, rule, wrapped);
    if (!first) out += glue;
    first = false;
    for (size_t i = 0; i < wrapped.size(); ++i) {
      if (i > 0) out += glue;
      out += wrapped[i];
      render.budget().work_bytes(glue.size());
      if (out.size() > kMaxTextBytes) raise_limit("a text has more than {} bytes", kMaxTextBytes);
    }
  }
  return render.text(std::move(out));
}

Value filter_wordcount(Render& render, Arguments& arguments) {
  const Bound bound("wordcount", arguments, {"s"});
  const std::string text = to_text(render, bound[0]);
  Int count = 0;
  bool in_word = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t code = decode_at(text, at);
    const bool word = is_alpha(code) || is_digit(code) || code == '_';
    if (word && !in_word) ++count;
    in_word = word;
  }
  return Value::integer(count);
}

// Without <tags> and <!-- comments -->, runs of white space as one space, and the five common
// entities resolved.
Value filter_striptags(Render& render, Arguments& arguments) {
  const Bound bound("striptags", arguments, {"value"});
  std::string text = to_text(render, bound[0]);
  auto remove = [&text](std::string_view from, std::string_view to) {
    std::string kept;
    size_t at = 0;
    for (;;) {
      const size_t begin = text.find(from, at);
      const size_t end = begin == text.npos ? text.npos : text.find(to, begin);
      if (end == text.npos) break;
      kept += text.substr(at, begin - at);
      at = end + to.size();
    }
    text = kept + text.substr(at);
  };
  remove("<!--", "-->");
  remove("<", ">");
  std::string out;
  for (std::string_view word : split_words(text, std::nullopt, Side::kLeft)) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kEntities = {
      {{"&lt;", "<"},
       {"&gt;", ">"},
       {"&quot;", "\""},
       {"&#34;", "\""},
       {"&#39;", "'"},
       {"&nbsp;", "\xC2\xA0"},
       {"&amp;", "&"}}};
  for (const auto& [entity, character] : kEntities)
    out = replace(out, entity, character);
  return render.text(std::move(out));
}

std::string quote_url(std::string_view text, std::string_view safe) {
  std::string out;
  for (char byte : text) {
    const bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= '0' && byte <= '9') || std::string_view("_.-~").contains(byte);
    if (plain || safe.contains(byte)) {
      out += byte;
    } else {
      out += fmt::format("%{:02X}", static_cast<uint8_t>(byte));
    }
  }
  return out;
}

Value filter_urlencode(Render& render, Arguments& arguments) {
  const Bound bound("urlencode", arguments, {"value"});
  if (bound[0].is_text() || !Render::is_iterable(bound[0])) {
    return render.text(quote_url(to_text(render, bound[0]), "/"));
  }
  std::string out;
  auto add = [&](const Value& key, const Value& value) {
    if (!out.empty()) out += '&';
    const std::string pair =
        quote_url(to_text(render, key), "") + "=" + quote_url(to_text(render, value), "");
    out += replace(pair, "%20", "+");
  };
  if (bound[0].is(Kind::kDict)) {
    for (const auto& [key, value] : bound[0].as_dict().entries)
      add(key, value);
    return render.text(std::move(out));
  }
  for (const Value& pair : render.elements(bound[0])) {
    const std::vector<Value> parts = render.elements(pair);
    if (parts.size() != 2) raise("ValueError: urlencode needs pairs, got {} values", parts.size());
    add(parts[0], parts[1]);
  }
  return render.text(std::move(out));
}

Value filter_format(Render& render, Arguments& arguments) {
  if (arguments.positional.empty())
    raise("TypeError: do_format() missing required argument: 'value'");
  const Value format = soft_text(render, arguments.positional[0]);
  std::vector<Value> values(arguments.positional.begin() + 1, arguments.positional.end());
  if (!values.empty() && !arguments.named.empty()) {
    raise("FilterArgumentError: can't handle positional and keyword arguments at the same time");
  }
  if (arguments.named.empty()) {
    return format_percent(render, format, Value::tuple(render.budget(), std::move(values)));
  }
  DictBuilder named(render.budget());
  for (auto& [name, value] : arguments.named)
    named.set(name, std::move(value));
  return format_percent(render, format, named.finish());
}

Value filter_xmlattr(Render& render, Arguments& arguments) {
  const Bound bound("xmlattr", arguments, {"d", "autospace"});
  require_defined(bound[0]);
  if (!bound[0].is(Kind::kDict))
    raise("TypeError: xmlattr needs a dict, not {}", bound[0].type_name());
  std::string out;
  for (const auto& [key, value] : bound[0].as_dict().entries) {
    if (value.is(Kind::kNone) || value.is_undefined()) continue;
    const std::string name = to_text(render, key);
    const bool bad = std::ranges::any_of(
        name, [](char c) { return std::string_view(" \t\n\r\f\v/>=").contains(c); });
    if (bad) raise("ValueError: Invalid character in attribute name: {}", quote(name));
    const bool markup = value.is_text() && value.as_text().markup;
    const std::string text = to_text(render, value);
    if (!out.empty()) out += ' ';
    out += fmt::format("{}=\"{}\"", escape_html(name), markup ? text : escape_html(text));
  }
  if (bound.truth_unless_given(1) && !out.empty()) out.insert(out.begin(), ' ');
  return render.text(std::move(out));
}

constexpr std::array<Builtin, 20> kTextFilters = {{
    {"capitalize", filter_case<capitalize>},
    {"center", filter_center},
    {"e", filter_escape},
    {"escape", filter_escape},
    {"forceescape", filter_force_escape},
    {"format", filter_format},
    {"indent", filter_indent},
    {"lower", filter_case<lower>},
    {"replace", filter_replace},
    {"safe", filter_safe},
    {"string", filter_string},
    {"striptags", filter_striptags},
    {"title", filter_title},
    {"trim", filter_trim},
    {"truncate", filter_truncate},
    {"upper", filter_case<upper>},
    {"urlencode", filter_urlencode},
    {"wordcount", filter_wordcount},
    {"wordwrap", filter_wordwrap},
    {"xmlattr", filter_xmlattr},
}};

}  // namespace

BuiltinFunction find_text_filter(std::string_view name) {
  const auto found = std::ranges::find(kTextFilters, name, &Builtin::name);
  return found == kTextFilters.end() ? nullptr : found->function;
}

}  // namespace inferno::token::jinja
