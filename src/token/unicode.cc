#include "token/unicode.h"

namespace inferno::token {
namespace {

uint8_t byte_at(std::string_view text, size_t index) {
  return static_cast<uint8_t>(text[index]);
}

// What a lead byte promises (Unicode 15, table 3-7): the length, and the range of the second byte,
// which is narrower than 80..BF where overlong forms, surrogates and values above U+10FFFF would
// begin.
struct Lead {
  uint8_t size;
  uint8_t second_min;
  uint8_t second_max;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Utf8Char decode_utf8(std::string_view text) {
  const uint8_t first = byte_at(text, 0);
  const Lead lead = lead_of(first);
  if (lead.size == 1) return {first, 1, Utf8State::kValid};
  if (lead.size == 0) return {0, 1, Utf8State::kInvalid};
  char32_t code = first & (0x7Fu >> lead.size);
  for (uint8_t i = 1; i < lead.size; ++i) {
    if (i == text.size()) return {0, i, Utf8State::kIncomplete};
    const uint8_t byte = byte_at(text, i);
    const uint8_t low = i == 1 ? lead.second_min : 0x80;
    const uint8_t high = i == 1 ? lead.second_max : 0xBF;
    if (byte < low || byte > high) return {0, i, Utf8State::kInvalid};
    code = code << 6 | (byte & 0x3Fu);
  }
  return {code, lead.size, Utf8State::kValid};
}

void append_utf8(char32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
    out += kReplacementCharacter;
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

size_t append_repaired(std::string_view bytes, std::string& out) {
  size_t used = 0;
  while (used < bytes.size()) {
    const size_t good = valid_utf8_prefix(bytes.substr(used));
    out += bytes.substr(used, good);
    used += good;
    if (used == bytes.size()) break;
    const Utf8Char next = decode_utf8(bytes.substr(used));
    if (next.state == Utf8State::kIncomplete) break;
    out += kReplacementCharacter;
    used += next.size;
  }
  return used;
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t position = 0;
  while (position < text.size()) {
    if (byte_at(text, position) < 0x80) {
      ++position;
      continue;
    }
    const Utf8Char next = decode_utf8(text.substr(position));
    if (next.state != Utf8State::kValid) break;
    position += next.size;
  }
  return position;
}

bool is_white_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

size_t leading_white_space(std::string_view text) {
  size_t position = 0;
  while (position < text.size()) {
    const Utf8Char next = decode_utf8(text.substr(position));
    if (next.state != Utf8State::kValid || !is_white_space(next.code)) break;
    position += next.size;
  }
  return position;
}

size_t trailing_white_space(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && end - begin < 4 && (byte_at(text, begin) & 0xC0) == 0x80)
      --begin;
    const Utf8Char last = decode_utf8(text.substr(begin, end - begin));
    const bool whole = last.state == Utf8State::kValid && last.size == end - begin;
    if (!whole || !is_white_space(last.code)) break;
    end = begin;
  }
  return text.size() - end;
}

}  // namespace inferno::token
