// UTF-8 by hand: one character at a time out of bytes that may be anything, and its repair.
//
// A byte sequence that is not UTF-8 is cut into maximal subparts as Unicode 15, section 3.9 (U+FFFD
// substitution) defines them: the longest prefix of a valid character, or one byte. Each is one
// replacement character.
//
// Threads: pure functions. Cost: O(bytes).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace inferno::token {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

enum class Utf8State : uint8_t {
  kValid,       // `size` bytes are the character `code`
  kInvalid,     // `size` bytes are a maximal subpart: no bytes behind them make them a character
  kIncomplete,  // all `size` bytes up to the end are a proper prefix of a character
};

struct Utf8Char {
  char32_t code = 0;  // meaningful when valid
  uint8_t size = 0;   // 1 to 4
  Utf8State state = Utf8State::kInvalid;
};

// The character at the beginning of `text`. Requires: `text` is not empty.
Utf8Char decode_utf8(std::string_view text);

// Appends the character to `out`; a surrogate or a value above U+10FFFF becomes U+FFFD.
void append_utf8(char32_t code, std::string& out);

// Appends `bytes` to `out` with each invalid maximal subpart replaced by U+FFFD. Returns how many
// bytes were used: all but an incomplete character at the end (at most 3 bytes).
size_t append_repaired(std::string_view bytes, std::string& out);

// How many bytes of `text`, from its beginning, are UTF-8.
size_t valid_utf8_prefix(std::string_view text);

// Unicode's White_Space property (PropList.txt), the \s of the tokenizers' expressions.
bool is_white_space(char32_t code);

// Bytes of white space at the beginning and at the end of `text`.
size_t leading_white_space(std::string_view text);
size_t trailing_white_space(std::string_view text);

}  // namespace inferno::token
