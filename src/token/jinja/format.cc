#include "token/jinja/format.h"

#include <algorithm>
#include <cmath>

#include "token/jinja/operators.h"
#include "token/jinja/print.h"
#include "token/jinja/text.h"

namespace inferno::token::jinja {
namespace {

constexpr size_t kMaxPrecision = 400;

// One number's or text's shape, from either of the two format languages.
struct Shape {
  Padding padding;
  bool has_alignment = false;
  bool alternate = false;  // '#': 0x before hexadecimal
  char sign = '-';         // '-': only minus, '+': always, ' ': a space for plus
  char grouping = 0;       // ',' or '_' between thousands
  std::optional<size_t> precision;
  char type = 0;
};

std::string digits_of(Int value, unsigned base, std::string_view alphabet) {
  auto rest = value < 0 ? -static_cast<UnsignedInt>(value) : static_cast<UnsignedInt>(value);
  std::string out;
  do {
    out += alphabet[static_cast<size_t>(rest % base)];
    rest /= base;
  } while (rest != 0);
  std::ranges::reverse(out);
  return out;
}

// Puts a separator between groups of the digits in front of a fraction or exponent.
std::string grouped(const std::string& number, char separator) {
  const size_t whole = std::min(number.find_first_not_of("0123456789"), number.size());
  std::string out;
  for (size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % 3 == 0) out += separator;
    out += number[i];
  }
  return out + number.substr(whole);
}

// What stands before a number that is not negative.
std::string plus_sign(const Shape& shape) {
  return shape.sign == '-' ? "" : std::string(1, shape.sign);
}

// Pads sign and digits; the fill may go between them.
std::string pad_number(const std::string& sign, const std::string& digits, Shape shape) {
  if (!shape.has_alignment && shape.padding.alignment == Alignment::kLeft) {
    shape.padding.alignment = Alignment::kRight;
  }
  if (shape.padding.alignment != Alignment::kBehindSign) return pad(sign + digits, shape.padding);
  const size_t used = sign.size();
  shape.padding.width = shape.padding.width > used ? shape.padding.width - used : 0;
  shape.padding.alignment = Alignment::kRight;
  return sign + pad(digits, shape.padding);
}

std::string shape_int(Int value, const Shape& shape) {
  std::string prefix;
  unsigned base = 10;
  switch (shape.type) {
    case 'x':
      base = 16;
      prefix = "0x";
      break;
    case 'X':
      base = 16;
      prefix = "0X";
      break;
    case 'o':
      base = 8;
      prefix = "0o";
      break;
    case 'b':
      base = 2;
      prefix = "0b";
      break;
    default:
      break;
  }
  std::string digits =
      digits_of(value, base, shape.type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef");
  if (shape.precision && digits.size() < *shape.precision) {
    digits.insert(0, *shape.precision - digits.size(), '0');
  }
  if (shape.grouping != 0) digits = grouped(digits, shape.grouping);
  const std::string sign = (value < 0 ? "-" : plus_sign(shape)) + (shape.alternate ? prefix : "");
  return pad_number(sign, digits, shape);
}

std::string shape_real(double value, const Shape& shape) {
  const double magnitude = std::fabs(value);
  const size_t precision = std::min(shape.precision.value_or(6), kMaxPrecision);
  std::string digits;
  if (!std::isfinite(value)) {
    digits = std::isnan(value) ? "nan" : "inf";
  } else if (shape.type == 0 && !shape.precision) {
    digits = float_text(magnitude);
  } else {
    switch (shape.type) {
      case 'e':
        digits = fmt::format("{:.{}e}", magnitude, precision);
        break;
      case 'E':
        digits = fmt::format("{:.{}E}", magnitude, precision);
        break;
      case 'f':
      case 'F':
        digits = fmt::format("{:.{}f}", magnitude, precision);
        break;
      case '%':
        digits = fmt::format("{:.{}f}%", magnitude * 100, precision);
        break;
      case 'G':
        digits = fmt::format("{:.{}G}", magnitude, precision);
        break;
      default:
        digits = fmt::format("{:.{}g}", magnitude, precision);
        break;
    }
  }
  if (shape.grouping != 0) digits = grouped(digits, shape.grouping);
  const bool negative = std::signbit(value) && !std::isnan(value);
  return pad_number(negative ? "-" : plus_sign(shape), digits, shape);
}

std::string shape_text(std::string_view text, const Shape& shape) {
  if (shape.precision) text = text.substr(0, byte_offset(text, *shape.precision));
  return pad(text, shape.padding);
}

// repr() with everything beyond ASCII escaped.
std::string ascii_repr(Render& render, const Value& value) {
  const std::string text = to_repr(render, value);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t code = decode_at(text, at);
    if (code < 0x80 || code == kNoCharacter) {
      out += text.substr(begin, at - begin);
    } else if (code < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(code));
    } else if (code < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(code));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(code));
    }
  }
  return out;
}

// Reads a run of decimal digits; nothing when there is none. Throws when it is a width no text may
// have.
std::optional<size_t> read_number(std::string_view text, size_t& at) {
  const size_t begin = at;
  size_t value = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    value = value * 10 + static_cast<size_t>(text[at++] - '0');
    if (value > kMaxTextBytes)
      raise_limit("a format asks for more than {} characters", kMaxTextBytes);
  }
  if (at == begin) return std::nullopt;
  return value;
}

void check_size(const std::string& out) {
  if (out.size() > kMaxTextBytes) raise_limit("a text has more than {} bytes", kMaxTextBytes);
}

// "..." % values.
class PercentFormatter {
 public:
  PercentFormatter(Render& render, const Value& format, const Value& value)
      : render_(render), format_(format.str()), markup_(format.as_text().markup), value_(value) {
    const bool tuple = value.is_list_or_tuple() && !value.is_sequence(SequenceKind::kList);
    values_ = tuple ? value.items() : std::vector<Value>{value};
    named_only_ = value.is(Kind::kDict);
  }

  std::string run() {
    while (at_ < format_.size()) {
      const size_t mark = std::min(format_.find('%', at_), format_.size());
      out_ += format_.substr(at_, mark - at_);
      at_ = mark;
      if (at_ < format_.size()) conversion();
      check_size(out_);
    }
    if (next_ < values_.size() && !named_only_) {
      raise("TypeError: not all arguments converted during string formatting");
    }
    return std::move(out_);
  }

 private:
  void conversion() {
    ++at_;
    std::optional<Value> named;
    if (peek() == '(') named = named_value();
    Shape shape = flags();
    shape.padding.width = width().value_or(0);
    if (peek() == '.') {
      ++at_;
      shape.precision = width().value_or(0);
    }
    if (at_ >= format_.size()) raise("ValueError: incomplete format");
    shape.type = format_[at_++];
    if (shape.type == '%') {
      out_ += '%';
      return;
    }
    convert(named ? *named : take(), shape);
  }

  char peek() const { return at_ < format_.size() ? format_[at_] : '\0'; }

  Value named_value() {
    const size_t end = format_.find(')', at_);
    if (end == std::string_view::npos) raise("ValueError: incomplete format key");
    if (!value_.is(Kind::kDict)) raise("TypeError: format requires a mapping");
    const std::string_view key = format_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    const Value* found = find(value_.as_dict(), key);
    if (found == nullptr) raise("KeyError: {}", quote(key));
    return *found;
  }

  Shape flags() {
    Shape shape;
    shape.padding.alignment = Alignment::kRight;
    for (;; ++at_) {
      const char flag = peek();
      if (flag == '-') {
        shape.padding.alignment = Alignment::kLeft;
        shape.padding.fill = " ";
        shape.has_alignment = true;
      } else if (flag == '0' && !shape.has_alignment) {
        shape.padding.alignment = Alignment::kBehindSign;
        shape.padding.fill = "0";
      } else if (flag == '+' || (flag == ' ' && shape.sign != '+')) {
        shape.sign = flag;
      } else if (flag == '#') {
        shape.alternate = true;
      } else if (flag != '0' && flag != ' ') {
        return shape;
      }
    }
  }

  std::optional<size_t> width() {
    if (peek() != '*') return read_number(format_, at_);
    ++at_;
    const Value value = take();
    if (!value.is_integral()) raise("TypeError: * wants int");
    const Int given = value.as_int();
    if (given > static_cast<Int>(kMaxTextBytes)) {
      raise_limit("a format asks for more than {} characters", kMaxTextBytes);
    }
    return given < 0 ? 0 : static_cast<size_t>(given);
  }

  Value take() {
    if (next_ >= values_.size()) raise("TypeError: not enough arguments for format string");
    return values_[next_++];
  }

  void convert(const Value& value, Shape shape) {
    const auto add_text = [&](const std::string& text) {
      if (shape.padding.alignment == Alignment::kBehindSign) {
        shape.padding = {shape.padding.width, Alignment::kRight, " "};
      }
      const bool plain = !value.is_text() || !value.as_text().markup;
      out_ += shape_text(markup_ && plain ? escape_html(text) : text, shape);
    };
    switch (shape.type) {
      case 's':
        return add_text(to_text(render_, value));
      case 'r':
        return add_text(to_repr(render_, value));
      case 'a':
        return add_text(ascii_repr(render_, value));
      case 'c':
        return add_text(character(value));
      case 'd':
      case 'i':
      case 'u':
        shape.type = 'd';
        return integer(value, shape, "a real number is required");
      case 'x':
      case 'X':
      case 'o':
        return integer(value, shape, "an integer is required");
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        require_defined(value);
        if (!value.is_number()) {
          raise("TypeError: must be real number, not {}", value.type_name());
        }
        if (!shape.precision) shape.precision = 6;
        out_ += shape_real(value.to_real(), shape);
        return;
      default:
        raise("ValueError: unsupported format character '{}'", shape.type);
    }
  }

  void integer(const Value& value, const Shape& shape, std::string_view wanted) {
    require_defined(value);
    const bool real = value.is(Kind::kFloat) && shape.type == 'd';
    if (!value.is_integral() && !real) {
      raise("TypeError: %{} format: {}, not {}", shape.type, wanted, value.type_name());
    }
    out_ += shape_int(real ? to_int(value.as_real()) : value.as_int(), shape);
  }

  std::string character(const Value& value) {
    if (value.is_text() && render_.length(value) == 1) return value.str();
    if (!value.is_integral() || value.as_int() < 0 || value.as_int() > 0x10FFFF) {
      raise("TypeError: %c requires int or char");
    }
    std::string out;
    append_code_point(out, static_cast<char32_t>(value.as_int()));
    return out;
  }

  Render& render_;
  const std::string_view format_;
  const bool markup_;
  const Value& value_;
  std::vector<Value> values_;
  bool named_only_;
  std::string out_;
  size_t at_ = 0;
  size_t next_ = 0;
};

// "...".format(values).
class BraceFormatter {
 public:
  BraceFormatter(Render& render, const Value& format, const Arguments& arguments)
      : render_(render), markup_(format.as_text().markup), arguments_(arguments) {}

  // `level`: a format specification may hold fields of its own, once.
  std::string run(std::string_view format, int level) {
    if (level > 1) raise("ValueError: Max string recursion exceeded");
    std::string out;
    for (size_t at = 0; at < format.size();) {
      const char byte = format[at];
      const bool doubled = at + 1 < format.size() && format[at + 1] == byte;
      if ((byte == '{' || byte == '}') && doubled) {
        out += byte;
        at += 2;
      } else if (byte == '}') {
        raise("ValueError: Single '}}' encountered in format string");
      } else if (byte == '{') {
        const size_t end = field_end(format, at);
        out += field(format.substr(at + 1, end - at - 1), level);
        at = end + 1;
      } else {
        out += byte;
        ++at;
      }
      check_size(out);
    }
    return out;
  }

 private:
  static size_t field_end(std::string_view format, size_t at) {
    int open = 0;
    for (size_t i = at; i < format.size(); ++i) {
      if (format[i] == '{') ++open;
      if (format[i] == '}' && --open == 0) return i;
    }
    raise("ValueError: expected '}}' before end of string");
  }

  std::string field(std::string_view text, int level) {
    const size_t name_end = std::min(text.find_first_of("!:"), text.size());
    Value value = lookup(text.substr(0, name_end));
    size_t at = name_end;
    if (at < text.size() && text[at] == '!') {
      const char conversion = at + 1 < text.size() ? text[at + 1] : '\0';
      at += 2;
      if (conversion == 'r') {
        value = render_.text(to_repr(render_, value));
      } else if (conversion == 'a') {
        value = render_.text(ascii_repr(render_, value));
      } else if (conversion == 's') {
        value = render_.text(to_text(render_, value));
      } else {
        raise("ValueError: Unknown conversion specifier '{}'", conversion);
      }
      if (at < text.size() && text[at] != ':') {
        raise("ValueError: expected ':' after conversion specifier");
      }
    }
    const std::string specification =
        at < text.size() ? run(text.substr(at + 1), level + 1) : std::string();
    const std::string shaped = shape(value, specification);
    const bool plain = !value.is_text() || !value.as_text().markup;
    return markup_ && plain ? escape_html(shaped) : shaped;
  }

  // name.attribute[key]... of a field.
  Value lookup(std::string_view path) {
    const size_t name_end = std::min(path.find_first_of(".["), path.size());
    Value value = argument(path.substr(0, name_end));
    for (size_t at = name_end; at < path.size();) {
      if (path[at] == '.') {
        const size_t end = std::min(path.find_first_of(".[", at + 1), path.size());
        value = render_.attribute(value, path.substr(at + 1, end - at - 1));
        at = end;
      } else {
        const size_t end = path[at] == '[' ? path.find(']', at) : path.npos;
        if (end == path.npos) raise("ValueError: Missing ']' in format string");
        const std::string_view key = path.substr(at + 1, end - at - 1);
        value = render_.item(value, key_of(key));
        at = end + 1;
      }
      require_defined(value);
    }
    return value;
  }

  Value key_of(std::string_view key) {
    size_t at = 0;
    const auto number = read_number(key, at);
    if (number && at == key.size()) return Value::integer(static_cast<Int>(*number));
    return render_.text(std::string(key));
  }

  Value argument(std::string_view name) {
    size_t at = 0;
    std::optional<size_t> place = read_number(name, at);
    if (name.empty()) place = next_++;
    if (place && at == name.size()) {
      if (*place >= arguments_.positional.size()) {
        raise("IndexError: Replacement index {} out of range for positional args tuple", *place);
      }
      return arguments_.positional[*place];
    }
    for (const auto& [known, value] : arguments_.named) {
      if (known == name) return value;
    }
    raise("KeyError: {}", quote(name));
  }

  static Alignment alignment_of(char mark) {
    switch (mark) {
      case '>':
        return Alignment::kRight;
      case '^':
        return Alignment::kCenter;
      case '=':
        return Alignment::kBehindSign;
      default:
        return Alignment::kLeft;
    }
  }

  static Shape parse(std::string_view text) {
    Shape shape;
    size_t at = 0;
    const size_t second = byte_offset(text, 1);
    constexpr std::string_view kMarks = "<>^=";
    if (second < text.size() && kMarks.contains(text[second])) {
      shape.padding.fill = text.substr(0, second);
      shape.padding.alignment = alignment_of(text[second]);
      shape.has_alignment = true;
      at = second + 1;
    } else if (!text.empty() && kMarks.contains(text[0])) {
      shape.padding.alignment = alignment_of(text[0]);
      shape.has_alignment = true;
      at = 1;
    }
    auto next_is = [&](std::string_view among) {
      return at < text.size() && among.contains(text[at]);
    };
    if (next_is("+- ")) shape.sign = text[at++];
    if (next_is("#")) {
      shape.alternate = true;
      ++at;
    }
    if (next_is("0")) {
      if (!shape.has_alignment) {
        shape.padding = {0, Alignment::kBehindSign, "0"};
      }
      ++at;
    }
    shape.padding.width = read_number(text, at).value_or(0);
    if (next_is(",_")) shape.grouping = text[at++];
    if (next_is(".")) {
      ++at;
      shape.precision = read_number(text, at);
      if (!shape.precision) raise("ValueError: Format specifier missing precision");
    }
    if (at < text.size()) shape.type = text[at++];
    if (at < text.size()) raise("ValueError: Invalid format specifier");
    return shape;
  }

  std::string shape(const Value& value, std::string_view specification) {
    if (specification.empty()) return to_text(render_, value);
    Shape parsed = parse(specification);
    const std::string_view reals = "eEfFgG%";
    if (value.is_integral() && !reals.contains(parsed.type == 0 ? '\n' : parsed.type)) {
      if (parsed.type == 0 || std::string_view("dxXobn").contains(parsed.type)) {
        return shape_int(value.as_int(), parsed);
      }
    } else if (value.is_number()) {
      if (parsed.type == 0 || reals.contains(parsed.type))
        return shape_real(value.to_real(), parsed);
    } else if (value.is_text()) {
      if (parsed.type == 0 || parsed.type == 's') {
        if (parsed.padding.alignment == Alignment::kBehindSign)
          parsed.padding.alignment = Alignment::kLeft;
        return shape_text(value.str(), parsed);
      }
    } else {
      raise("TypeError: unsupported format string passed to {}.__format__", value.type_name());
    }
    raise("ValueError: Unknown format code '{}' for object of type '{}'", parsed.type,
          value.type_name());
  }

  Render& render_;
  const bool markup_;
  const Arguments& arguments_;
  size_t next_ = 0;
};

}  // namespace

std::string pad(std::string_view text, const Padding& padding) {
  const size_t length = count_code_points(text);
  if (length >= padding.width) return std::string(text);
  if (padding.width * padding.fill.size() > kMaxTextBytes) {
    raise_limit("a text has more than {} bytes", kMaxTextBytes);
  }
  const size_t missing = padding.width - length;
  size_t left = 0;
  if (padding.alignment == Alignment::kRight) left = missing;
  if (padding.alignment == Alignment::kCenter) left = missing / 2 + (missing & padding.width & 1);
  std::string out;
  for (size_t i = 0; i < left; ++i)
    out += padding.fill;
  out += text;
  for (size_t i = left; i < missing; ++i)
    out += padding.fill;
  return out;
}

Value replace_text(Render& render, const Value& text, const Replacement& replacement) {
  const auto& [from, to, limit] = replacement;
  render.budget().work_bytes(text.str().size());
  size_t count = count_occurrences(text.str(), from);
  if (limit) count = std::min(count, *limit);
  if (to.size() > from.size() && count > kMaxTextBytes / (to.size() - from.size())) {
    raise_limit("a text has more than {} bytes", kMaxTextBytes);
  }
  render.budget().work(1 + count / 8);
  return render.text_like(text, replace(text.str(), from, to, limit));
}

Value format_percent(Render& render, const Value& format, const Value& value) {
  return render.text_like(format, PercentFormatter(render, format, value).run());
}

Value format_braces(Render& render, const Value& format, const Arguments& arguments) {
  BraceFormatter formatter(render, format, arguments);
  return render.text_like(format, formatter.run(format.str(), 0));
}

}  // namespace inferno::token::jinja
