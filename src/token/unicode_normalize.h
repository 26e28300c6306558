// Normalization forms NFC and NFD (Unicode 14, UAX #15), and the few properties of characters that
// tokenizers use.
//
// Threads: pure functions over constant tables. Cost: O(n), but for sorting long runs of marks;
//          text below U+0300 is copied as it is.
#pragma once

#include <string>
#include <string_view>

namespace inferno::token {

// `text` in NFC. Bytes that are not UTF-8 stay as they are, and nothing composes across them.
std::string to_nfc(std::string_view text);

// `text` in NFD. Requires: `text` is UTF-8.
std::u32string to_nfd(std::string_view text);

// Simple lower case; the character itself if it has none.
char32_t to_lower(char32_t code);

// General category Mn.
bool is_nonspacing_mark(char32_t code);

// General categories P*, and the symbols of ASCII.
bool is_punctuation(char32_t code);

// General categories Cc, Cf and Co.
bool is_control(char32_t code);

}  // namespace inferno::token
