#include "token/jinja/text.h"

#include <fmt/format.h>
#include <locale.h>
#include <wctype.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace inferno::token::jinja {
namespace {

// The C library's tables of Unicode; null where it has no UTF-8 locale: then only ASCII has case.
locale_t unicode_locale() {
  static const locale_t locale = [] {
    for (const char* name : {"C.UTF-8", "C.utf8", "en_US.UTF-8"}) {
      if (locale_t found = newlocale(LC_CTYPE_MASK, name, nullptr)) return found;
    }
    return locale_t{};
  }();
  return locale;
}

bool in_class(char32_t code, int (*predicate)(wint_t, locale_t)) {
  if (code > 0x10FFFF) return false;
  const locale_t locale = unicode_locale();
  if (locale == locale_t{}) return false;
  return predicate(static_cast<wint_t>(code), locale) != 0;
}

char32_t mapped(char32_t code, wint_t (*map)(wint_t, locale_t)) {
  const locale_t locale = unicode_locale();
  if (locale == locale_t{}) return code;
  return static_cast<char32_t>(map(static_cast<wint_t>(code), locale));
}

char32_t upper_of(char32_t code) {
  if (code < 0x80) return code >= 'a' && code <= 'z' ? code - 32 : code;
  return mapped(code, towupper_l);
}

char32_t lower_of(char32_t code) {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  return mapped(code, towlower_l);
}

struct Expansion {
  char32_t code;
  std::string_view upper;
  std::string_view title;
};
// Upper cases of more than one code point: the unconditional Latin ones of SpecialCasing.txt.
constexpr std::array<Expansion, 10> kExpansions = {{{0xDF, "SS", "Ss"},
                                                    {0x149, "\xCA\xBCN", "\xCA\xBCN"},
                                                    {0x1F0, "J\xCC\x8C", "J\xCC\x8C"},
                                                    {0xFB00, "FF", "Ff"},
                                                    {0xFB01, "FI", "Fi"},
                                                    {0xFB02, "FL", "Fl"},
                                                    {0xFB03, "FFI", "Ffi"},
                                                    {0xFB04, "FFL", "Ffl"},
                                                    {0xFB05, "ST", "St"},
                                                    {0xFB06, "ST", "St"}}};

const Expansion* expansion_of(char32_t code) {
  if (code < 0x80) return nullptr;
  for (const Expansion& expansion : kExpansions) {
    if (expansion.code == code) return &expansion;
  }
  return nullptr;
}

enum class Case : uint8_t { kUpper, kLower, kTitle, kSwap };

void append_cased(std::string& out, char32_t code, Case wanted) {
  if (wanted == Case::kSwap) wanted = is_upper(code) ? Case::kLower : Case::kUpper;
  if (wanted == Case::kLower) {
    if (code == 0x130) {  // capital I with dot: i and a combining dot
      out += "i\xCC\x87";
      return;
    }
    append_code_point(out, lower_of(code));
    return;
  }
  if (const Expansion* expansion = expansion_of(code)) {
    out += wanted == Case::kTitle ? expansion->title : expansion->upper;
    return;
  }
  append_code_point(out, upper_of(code));
}

// Calls visit(code, view of its bytes) for every code point.
template <typename Visit>
void for_each_code_point(std::string_view text, Visit visit) {
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t code = decode_at(text, at);
    visit(code, text.substr(begin, at - begin));
  }
}

constexpr char32_t kCapitalSigma = 0x3A3;
constexpr char32_t kSmallSigma = 0x3C3;
constexpr char32_t kFinalSigma = 0x3C2;  // the small sigma at the end of a word

bool starts_cased(std::string_view text) {
  if (text.empty()) return false;
  size_t at = 0;
  const char32_t code = decode_at(text, at);
  return is_upper(code) || is_lower(code);
}

std::string with_case(std::string_view text, Case wanted) {
  std::string out;
  out.reserve(text.size());
  bool in_word = false;
  for_each_code_point(text, [&](char32_t code, std::string_view bytes) {
    const bool was_in_word = std::exchange(in_word, is_upper(code) || is_lower(code));
    if (code == kNoCharacter) {
      out += bytes;
    } else if (code == kCapitalSigma && wanted == Case::kLower && was_in_word) {
      const auto behind = static_cast<size_t>(bytes.data() + bytes.size() - text.data());
      append_code_point(out, starts_cased(text.substr(behind)) ? kSmallSigma : kFinalSigma);
    } else {
      append_cased(out, code, wanted);
    }
  });
  return out;
}

// The byte where the code point that ends before `end` begins.
size_t previous_code_point(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && end - begin < 4 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80)
    --begin;
  size_t at = begin;
  decode_at(text, at);
  return at == end ? begin : end - 1;
}

bool contains_code_point(std::string_view chars, std::string_view bytes) {
  for (size_t at = 0; at < chars.size();) {
    const size_t begin = at;
    decode_at(chars, at);
    if (chars.substr(begin, at - begin) == bytes) return true;
  }
  return false;
}

// Code points that repr() escapes although the C library would print them: format characters and
// odd spaces.
bool is_hidden(char32_t code) {
  constexpr std::array<std::pair<char32_t, char32_t>, 16> kHidden = {{{0x7F, 0xA0},
                                                                      {0xAD, 0xAD},
                                                                      {0x600, 0x605},
                                                                      {0x61C, 0x61C},
                                                                      {0x6DD, 0x6DD},
                                                                      {0x70F, 0x70F},
                                                                      {0x1680, 0x1680},
                                                                      {0x180E, 0x180E},
                                                                      {0x2000, 0x200F},
                                                                      {0x2028, 0x202F},
                                                                      {0x205F, 0x206F},
                                                                      {0x3000, 0x3000},
                                                                      {0xD800, 0xF8FF},
                                                                      {0xFEFF, 0xFEFF},
                                                                      {0xFFF9, 0xFFFB},
                                                                      {0xE0000, 0x10FFFF}}};
  return std::ranges::any_of(
      kHidden, [code](auto range) { return code >= range.first && code <= range.second; });
}

bool ends_line(char32_t code) {
  return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

}  // namespace

bool is_ascii(std::string_view text) {
  // Eight bytes at a time: every text a template makes is looked at.
  constexpr uint64_t kHighBits = 0x8080808080808080;
  uint64_t word = 0;
  for (; text.size() >= sizeof(word); text.remove_prefix(sizeof(word))) {
    std::memcpy(&word, text.data(), sizeof(word));
    if ((word & kHighBits) != 0) return false;
  }
  return std::ranges::all_of(text, [](char byte) { return static_cast<uint8_t>(byte) < 0x80; });
}

char32_t decode_at(std::string_view text, size_t& at) {
  const auto first = static_cast<uint8_t>(text[at]);
  if (first < 0x80) return static_cast<char32_t>(text[at++]);
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || at + length > text.size()) {
    ++at;
    return kNoCharacter;
  }
  char32_t code = first & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<uint8_t>(text[at + i]);
    if ((byte & 0xC0) != 0x80) {
      ++at;
      return kNoCharacter;
    }
    code = code << 6 | (byte & 0x3Fu);
  }
  constexpr std::array<char32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
    ++at;
    return kNoCharacter;
  }
  at += length;
  return code;
}

size_t count_code_points(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++count)
    decode_at(text, at);
  return count;
}

void append_code_point(std::string& out, char32_t code) {
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) code = 0xFFFD;
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  const int tail_count = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr std::array<uint8_t, 4> kLead = {0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(kLead[static_cast<size_t>(tail_count)] | (code >> (6 * tail_count)));
  for (int i = tail_count - 1; i >= 0; --i) {
    out += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F));
  }
}

size_t byte_offset(std::string_view text, size_t index) {
  size_t at = 0;
  while (index > 0 && at < text.size()) {
    decode_at(text, at);
    --index;
  }
  return at;
}

std::vector<std::string_view> split_code_points(std::string_view text) {
  std::vector<std::string_view> parts;
  parts.reserve(text.size());
  for_each_code_point(text, [&](char32_t, std::string_view bytes) { parts.push_back(bytes); });
  return parts;
}

bool is_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 ||
         code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
         code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_alpha(char32_t code) {
  if (code < 0x80) return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
  // glibc counts the digits of other scripts as letters; Python does not.
  return in_class(code, iswalpha_l) && !is_digit(code);
}

bool is_digit(char32_t code) {
  if (code < 0x80) return code >= '0' && code <= '9';
  // The first digit of each script's ten in a row.
  constexpr std::array<char32_t, 16> kZeros = {0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66,
                                               0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66,
                                               0xE50, 0xED0, 0xF20, 0xFF10};
  return std::ranges::any_of(kZeros, [code](char32_t zero) { return code - zero < 10; });
}

bool is_upper(char32_t code) {
  if (code < 0x80) return code >= 'A' && code <= 'Z';
  return in_class(code, iswupper_l);
}

bool is_lower(char32_t code) {
  if (code < 0x80) return code >= 'a' && code <= 'z';
  return in_class(code, iswlower_l);
}

bool is_printable(char32_t code) {
  if (code < 0x7F) return code >= 0x20;
  if (code > 0x10FFFF || is_hidden(code)) return false;
  return unicode_locale() == locale_t{} || in_class(code, iswprint_l);
}

std::string upper(std::string_view text) {
  return with_case(text, Case::kUpper);
}
std::string lower(std::string_view text) {
  return with_case(text, Case::kLower);
}
std::string swap_case(std::string_view text) {
  return with_case(text, Case::kSwap);
}

std::string capitalize(std::string_view text) {
  const size_t head = byte_offset(text, 1);
  return with_case(text.substr(0, head), Case::kTitle) + lower(text.substr(head));
}

std::string title(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool in_word = false;
  for_each_code_point(text, [&](char32_t code, std::string_view bytes) {
    if (code == kNoCharacter) {
      out += bytes;
      in_word = false;
      return;
    }
    append_cased(out, code, in_word ? Case::kLower : Case::kTitle);
    in_word = is_upper(code) || is_lower(code) || expansion_of(code) != nullptr;
  });
  return out;
}

std::string_view strip(std::string_view text, Side side, std::optional<std::string_view> chars) {
  auto goes = [&](std::string_view bytes) {
    if (chars) return contains_code_point(*chars, bytes);
    size_t at = 0;
    return is_space(decode_at(bytes, at));
  };
  size_t begin = 0;
  size_t end = text.size();
  while (side != Side::kRight && begin < end) {
    size_t next = begin;
    decode_at(text, next);
    if (!goes(text.substr(begin, next - begin))) break;
    begin = next;
  }
  while (side != Side::kLeft && begin < end) {
    const size_t last = previous_code_point(text, end);
    if (!goes(text.substr(last, end - last))) break;
    end = last;
  }
  return text.substr(begin, end - begin);
}

std::vector<std::string_view> split_words(std::string_view text, std::optional<size_t> limit,
                                          Side from) {
  struct Word {
    size_t begin, end;
  };
  std::vector<Word> words;
  bool in_word = false;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const bool space = is_space(decode_at(text, at));
    if (!space && !in_word) words.push_back({begin, at});
    if (!space) words.back().end = at;
    in_word = !space;
  }
  std::vector<std::string_view> parts;
  const size_t cuts = std::min(limit.value_or(words.size()), words.size());
  auto part = [&](size_t begin, size_t end) { parts.push_back(text.substr(begin, end - begin)); };
  if (words.size() <= cuts) {
    for (const Word& word : words)
      part(word.begin, word.end);
  } else if (from == Side::kRight) {
    const size_t head = words.size() - cuts;  // these stay together
    // Python keeps the white space at the start of the first part.
    part(0, words[head - 1].end);
    for (size_t i = head; i < words.size(); ++i)
      part(words[i].begin, words[i].end);
  } else {
    for (size_t i = 0; i < cuts; ++i)
      part(words[i].begin, words[i].end);
    // Python keeps the white space at the end of the last part.
    part(words[cuts].begin, text.size());
  }
  return parts;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       std::optional<size_t> limit, Side from) {
  std::vector<std::string_view> parts;
  size_t cuts = limit.value_or(text.size() + 1);
  if (from == Side::kRight) {
    size_t end = text.size();
    while (cuts-- > 0 && end >= separator.size()) {
      const size_t at = text.substr(0, end).rfind(separator);
      if (at == std::string_view::npos) break;
      parts.push_back(text.substr(at + separator.size(), end - at - separator.size()));
      end = at;
    }
    parts.push_back(text.substr(0, end));
    std::ranges::reverse(parts);
    return parts;
  }
  size_t begin = 0;
  while (cuts-- > 0) {
    const size_t at = text.find(separator, begin);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(begin, at - begin));
    begin = at + separator.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text, LineEnds ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t line_end = at;
    const char32_t code = decode_at(text, at);
    if (!ends_line(code)) continue;
    if (code == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, (ends == LineEnds::kKeep ? at : line_end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

size_t count_occurrences(std::string_view text, std::string_view part) {
  if (part.empty()) return count_code_points(text) + 1;
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
    ++count;
  return count;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to,
                    std::optional<size_t> limit) {
  std::string out;
  size_t left = limit.value_or(text.size() + 1);
  if (from.empty()) {
    size_t at = 0;
    for (; left > 0; --left) {
      out += to;
      if (at >= text.size()) break;
      const size_t code_begin = at;
      decode_at(text, at);
      out += text.substr(code_begin, at - code_begin);
    }
    out += text.substr(at);
    return out;
  }
  size_t begin = 0;
  for (; left > 0; --left) {
    const size_t at = text.find(from, begin);
    if (at == std::string_view::npos) break;
    out += text.substr(begin, at - begin);
    out += to;
    begin = at + from.size();
  }
  out += text.substr(begin);
  return out;
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char byte : text) {
    switch (byte) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += byte;
    }
  }
  return out;
}

std::string quote(std::string_view text) {
  const bool double_quoted = text.contains('\'') && !text.contains('"');
  const char mark = double_quoted ? '"' : '\'';
  std::string out(1, mark);
  for_each_code_point(text, [&](char32_t code, std::string_view bytes) {
    if (code == static_cast<char32_t>(mark) || code == '\\') {
      out += '\\';
      out += bytes;
    } else if (code == '\n') {
      out += "\\n";
    } else if (code == '\r') {
      out += "\\r";
    } else if (code == '\t') {
      out += "\\t";
    } else if (code == kNoCharacter || is_printable(code)) {
      out += bytes;
    } else if (code < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(code));
    } else if (code < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(code));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(code));
    }
  });
  return out + mark;
}

}  // namespace inferno::token::jinja
