// Text with a width, and Python's two ways to format: "%s" % value, and "{}".format(value).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "token/jinja/render.h"

namespace inferno::token::jinja {

enum class Alignment : uint8_t { kLeft, kRight, kCenter, kBehindSign };

struct Padding {
  size_t width = 0;  // code points
  Alignment alignment = Alignment::kLeft;
  std::string fill = " ";  // one code point
};
// `text` filled up to a width. As Python's str.center, an odd rest goes left when the width is odd.
std::string pad(std::string_view text, const Padding& padding);

struct Replacement {
  std::string_view from;
  std::string_view to;
  std::optional<size_t> limit;
};
// As replace() of text.h, within the limits of a rendering.
Value replace_text(Render& render, const Value& text, const Replacement& replacement);

// format % value; a tuple gives several values, a dictionary is read by %(name)s.
// Supports %% and the conversions d i u s r a c x X o e E f F g G with flags, width and precision.
Value format_percent(Render& render, const Value& format, const Value& value);

// format.format(*positional, **named): fields {}, {0}, {name}, {a.b[c]}, conversions !s !r !a, and
// the format specifications of str, int and float.
Value format_braces(Render& render, const Value& format, const Arguments& arguments);

}  // namespace inferno::token::jinja
