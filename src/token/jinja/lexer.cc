#include "token/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "token/jinja/text.h"

namespace inferno::token::jinja {
namespace {

bool is_digit_byte(char byte) {
  return byte >= '0' && byte <= '9';
}

bool is_word_byte(char byte) {
  return is_digit_byte(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         byte == '_' || static_cast<uint8_t>(byte) >= 0x80;
}

// CR LF and CR become LF, and one line break at the end goes.
std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

int digit_value(char byte) {
  if (is_digit_byte(byte)) return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
  return 99;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size())
      lex_text();
    add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  // Text up to a tag, then the tag.
  void lex_text() {
    const size_t begin = at_;
    size_t tag = source_.find('{', at_);
    while (tag != std::string::npos && !is_tag(tag))
      tag = source_.find('{', tag + 1);
    if (tag == std::string::npos) {
      add_data(std::string_view(source_).substr(begin));
      at_ = source_.size();
      return;
    }
    const char type = source_[tag + 1];
    const char sign = sign_at(tag + 2);
    add_text_before(std::string_view(source_).substr(begin, tag - begin), sign,
                    type == '{' ? TokenKind::kPrintBegin : TokenKind::kBlockBegin);
    at_ = tag + 2 + (sign != 0 ? 1 : 0);
    if (type == '#') {
      lex_comment();
    } else if (type == '%' && enter_raw()) {
      lex_raw();
    } else {
      lex_tag(type == '%' ? TokenKind::kBlockEnd : TokenKind::kPrintEnd);
    }
  }

  bool is_tag(size_t at) const {
    if (at + 1 >= source_.size()) return false;
    const char next = source_[at + 1];
    return next == '{' || next == '%' || next == '#';
  }

  // '-', '+' or 0 at this place.
  char sign_at(size_t at) const {
    if (at >= source_.size()) return 0;
    return source_[at] == '-' || source_[at] == '+' ? source_[at] : '\0';
  }

  // Adds the text before a tag, stripped as the tag's sign and lstrip_blocks ask.
  void add_text_before(std::string_view text, char sign, TokenKind tag) {
    const std::string_view whole = text;
    if (sign == '-') {
      text = strip(text, Side::kRight);
    } else if (sign != '+' && tag != TokenKind::kPrintBegin) {
      const size_t line_begin = text.rfind('\n') + 1;  // npos + 1 is 0
      const bool starts_line = line_begin > 0 || line_starting_;
      if (starts_line && strip(text.substr(line_begin)).empty()) text = text.substr(0, line_begin);
    }
    add_data(text);
    count_lines(whole.substr(text.size()));
  }

  void add_data(std::string_view text) {
    if (!text.empty()) add(TokenKind::kData, std::string(text));
    count_lines(text);
  }

  void count_lines(std::string_view text) {
    line_ += static_cast<int>(std::ranges::count(text, '\n'));
  }

  // Moves to `end`, counting lines and remembering whether a line starts there.
  void advance_to(size_t end) {
    count_lines(std::string_view(source_).substr(at_, end - at_));
    at_ = end;
    line_starting_ = end > 0 && source_[end - 1] == '\n';
  }

  // Behind a tag's end at `end`: `-` takes all white space, trim_blocks one line break.
  enum class LineBreak : uint8_t { kTrimmed, kKept };
  void finish_tag(size_t end, char sign, LineBreak line_break) {
    if (sign == '-') {
      const std::string_view rest = std::string_view(source_).substr(end);
      end += rest.size() - strip(rest, Side::kLeft).size();
    } else if (sign != '+' && line_break == LineBreak::kTrimmed && end < source_.size() &&
               source_[end] == '\n') {
      ++end;
    }
    advance_to(end);
  }

  void lex_comment() {
    const int first_line = line_;
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) fail("Missing end of comment tag", first_line);
    const char sign = end > at_ ? sign_at(end - 1) : '\0';
    finish_tag(end + 2, sign, LineBreak::kTrimmed);
  }

  // Skips "raw %}" behind "{%", if that is what follows.
  bool enter_raw() {
    size_t at = skip_space(at_);
    if (!std::string_view(source_).substr(at).starts_with("raw")) return false;
    at = skip_space(at + 3);
    const bool strips = sign_at(at) == '-';
    if (strips) ++at;
    if (!std::string_view(source_).substr(at).starts_with("%}")) return false;
    finish_tag(at + 2, strips ? '-' : '+', LineBreak::kKept);
    return true;
  }

  void lex_raw() {
    const int first_line = line_;
    const std::string_view source = source_;
    for (size_t tag = source.find("{%", at_); tag != source.npos;
         tag = source.find("{%", tag + 2)) {
      const char sign = sign_at(tag + 2);
      size_t at = skip_space(tag + 2 + (sign != 0 ? 1 : 0));
      if (!source.substr(at).starts_with("endraw")) continue;
      at = skip_space(at + 6);
      const char end_sign = sign_at(at);
      if (end_sign != 0) ++at;
      if (!source.substr(at).starts_with("%}")) continue;
      add_text_before(source.substr(at_, tag - at_), sign, TokenKind::kBlockBegin);
      at_ = tag;
      finish_tag(at + 2, end_sign, LineBreak::kTrimmed);
      return;
    }
    fail("Missing end of raw directive", first_line);
  }

  size_t skip_space(size_t at) const {
    const std::string_view rest = std::string_view(source_).substr(std::min(at, source_.size()));
    return at + rest.size() - strip(rest, Side::kLeft).size();
  }

  // The tokens between {{ and }} or {% and %}.
  void lex_tag(TokenKind end_kind) {
    add(end_kind == TokenKind::kBlockEnd ? TokenKind::kBlockBegin : TokenKind::kPrintBegin, "");
    const std::string_view source = source_;
    open_.clear();
    while (at_ < source.size()) {
      if (open_.empty() && lex_tag_end(end_kind)) return;
      const size_t behind_space = skip_space(at_);
      if (behind_space > at_) {
        advance_to(behind_space);
        continue;
      }
      const char byte = source[at_];
      if (is_digit_byte(byte)) {
        lex_number();
      } else if (is_word_byte(byte)) {
        lex_name();
      } else if (byte == '\'' || byte == '"') {
        lex_string(byte);
      } else {
        lex_operator();
      }
    }
  }

  bool lex_tag_end(TokenKind end_kind) {
    const std::string_view rest = std::string_view(source_).substr(at_);
    const bool block = end_kind == TokenKind::kBlockEnd;
    const std::string_view mark = block ? "%}" : "}}";
    const char sign = sign_at(at_);
    if (sign == '+' && !block) return false;
    if (!rest.substr(sign != 0 ? 1 : 0).starts_with(mark)) return false;
    add(end_kind, "");
    finish_tag(at_ + (sign != 0 ? 3 : 2), sign, block ? LineBreak::kTrimmed : LineBreak::kKept);
    return true;
  }

  // End of a run of digits with single underscores between them, from `at`; `at` when there is no
  // digit.
  size_t digits_end(size_t at, int base) const {
    size_t end = at;
    while (at < source_.size()) {
      if (digit_value(source_[at]) < base) {
        end = ++at;
      } else if (source_[at] == '_' && end == at && at + 1 < source_.size() &&
                 digit_value(source_[at + 1]) < base) {
        ++at;
      } else {
        break;
      }
    }
    return end;
  }

  // End of a float at at_, if there is one: digits with a fraction, an exponent or both.
  std::optional<size_t> float_end() const {
    if (at_ > 0 && source_[at_ - 1] == '.') return std::nullopt;
    size_t end = digits_end(at_, 10);
    bool is_float = false;
    if (end < source_.size() && source_[end] == '.') {
      const size_t fraction_end = digits_end(end + 1, 10);
      if (fraction_end > end + 1) {
        end = fraction_end;
        is_float = true;
      }
    }
    if (end < source_.size() && (source_[end] | 0x20) == 'e') {
      const size_t digits = end + 1 + (sign_at(end + 1) != 0 ? 1 : 0);
      const size_t exponent_end = digits_end(digits, 10);
      if (exponent_end > digits) {
        end = exponent_end;
        is_float = true;
      }
    }
    return is_float ? std::optional(end) : std::nullopt;
  }

  void lex_number() {
    if (const auto end = float_end()) {
      std::string digits = source_.substr(at_, *end - at_);
      std::erase(digits, '_');
      add(TokenKind::kFloat, digits);
      tokens_.back().real = std::strtod(digits.c_str(), nullptr);
      advance_to(*end);
      return;
    }
    int base = 10;
    size_t begin = at_;
    if (source_[at_] == '0' && at_ + 1 < source_.size()) {
      const char mark = static_cast<char>(source_[at_ + 1] | 0x20);
      base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
      if (base != 10) begin = at_ + 2;
      if (begin < source_.size() && base != 10 && source_[begin] == '_') ++begin;
      if (digits_end(begin, base) == begin) {
        base = 10;
        begin = at_;
      }
    }
    // A decimal that starts with 0 is a run of zeros: in "007" the 7 is another token.
    const size_t end = digits_end(begin, base == 10 && source_[at_] == '0' ? 1 : base);
    Int value = 0;
    for (size_t i = begin; i < end; ++i) {
      if (source_[i] == '_') continue;
      if (__builtin_mul_overflow(value, Int{base}, &value) ||
          __builtin_add_overflow(value, Int{digit_value(source_[i])}, &value)) {
        fail("integer literal has more than 127 bits", line_);
      }
    }
    add(TokenKind::kInteger, source_.substr(at_, end - at_));
    tokens_.back().integer = value;
    advance_to(end);
  }

  void lex_name() {
    size_t end = at_;
    while (end < source_.size() && is_word_byte(source_[end]))
      ++end;
    add(TokenKind::kName, source_.substr(at_, end - at_));
    advance_to(end);
  }

  void lex_string(char mark) {
    std::string value;
    size_t at = at_ + 1;
    while (at < source_.size() && source_[at] != mark) {
      if (source_[at] == '\\' && at + 1 < source_.size()) {
        at = unescape(at + 1, value);
      } else {
        value += source_[at++];
      }
    }
    if (at >= source_.size()) fail(fmt::format("unexpected char {}", quote({&mark, 1})), line_);
    add(TokenKind::kString, std::move(value));
    advance_to(at + 1);
  }

  // Appends what the escape behind a backslash means, as in a Python string; returns the place
  // behind it.
  size_t unescape(size_t at, std::string& out) {
    constexpr std::string_view kLetters = "abfnrtv\\'\"";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
    const char letter = source_[at];
    if (letter == '\n') return at + 1;
    if (const size_t found = kLetters.find(letter); found != kLetters.npos) {
      out += kMeanings[found];
      return at + 1;
    }
    if (digit_value(letter) < 8) {
      const auto [code, end] = escape_code(at, 3, 8);
      append_code_point(out, code);
      return end;
    }
    const size_t digit_count = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    if (letter == 'N') fail("named character escapes are not supported", line_);
    if (digit_count == 0) {
      out += '\\';
      out += letter;
      return at + 1;
    }
    auto [code, end] = escape_code(at + 1, digit_count, 16);
    if (end != at + 1 + digit_count || code > 0x10FFFF) {
      fail(fmt::format("truncated \\{} escape", letter), line_);
    }
    if (code >= 0xD800 && code < 0xDC00 && source_.compare(end, 2, "\\u") == 0) {
      const auto [low, low_end] = escape_code(end + 2, 4, 16);
      if (low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        end = low_end;
      }
    }
    append_code_point(out, code);
    return end;
  }

  struct EscapeCode {
    char32_t code;
    size_t end;
  };
  EscapeCode escape_code(size_t at, size_t digit_count, int base) const {
    EscapeCode result{0, at};
    const size_t limit = std::min(at + digit_count, source_.size());
    while (result.end < limit && digit_value(source_[result.end]) < base) {
      result.code = result.code * static_cast<char32_t>(base) +
                    static_cast<char32_t>(digit_value(source_[result.end]));
      ++result.end;
    }
    return result;
  }

  void lex_operator() {
    constexpr std::array<std::string_view, 26> kOperators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const std::string_view rest = std::string_view(source_).substr(at_);
    for (std::string_view characters : kOperators) {
      if (!rest.starts_with(characters)) continue;
      balance(characters[0]);
      add(TokenKind::kOperator, std::string(characters));
      advance_to(at_ + characters.size());
      return;
    }
    size_t next = 0;
    decode_at(rest, next);
    fail(fmt::format("unexpected char {}", quote(rest.substr(0, next))), line_);
  }

  void balance(char byte) {
    if (byte == '(') open_ += ')';
    if (byte == '[') open_ += ']';
    if (byte == '{') open_ += '}';
    if (byte != ')' && byte != ']' && byte != '}') return;
    if (open_.empty()) fail(fmt::format("unexpected '{}'", byte), line_);
    if (open_.back() != byte) {
      fail(fmt::format("unexpected '{}', expected '{}'", byte, open_.back()), line_);
    }
    open_.pop_back();
  }

  void add(TokenKind kind, std::string text) {
    tokens_.push_back(Token{kind, line_, std::move(text), 0, 0});
  }

  [[noreturn]] static void fail(std::string_view message, int line) {
    throw Failure{Fault::kInvalid, fmt::format("TemplateSyntaxError: {}", message), line, false};
  }

  const std::string source_;
  std::vector<Token> tokens_;
  std::string open_;  // the closing brackets that are due
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    raise_limit("the template has {} bytes, limit {}", source.size(), kMaxSourceBytes);
  }
  return Lexer(source).run();
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kData:
      return "template data / text";
    case TokenKind::kPrintBegin:
      return "begin of print statement";
    case TokenKind::kPrintEnd:
      return "end of print statement";
    case TokenKind::kBlockBegin:
      return "begin of statement block";
    case TokenKind::kBlockEnd:
      return "end of statement block";
    case TokenKind::kName:
      return token.text;
    case TokenKind::kString:
      return "string";
    case TokenKind::kInteger:
      return "integer";
    case TokenKind::kFloat:
      return "float";
    case TokenKind::kOperator:
      return token.text;
    case TokenKind::kEnd:
      return "end of template";
  }
  return "token";
}

}  // namespace inferno::token::jinja
