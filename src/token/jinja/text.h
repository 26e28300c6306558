// Strings as Python sees them: sequences of Unicode code points, kept as UTF-8.
//
// Functions on views, without the template's values and without limits of their own: the caller
// counts their work. A byte that is not part of valid UTF-8 counts as one code point of its own, is
// copied as it is, and belongs to no class of characters.
// Case and character classes come from the C library's UTF-8 locale (simple mappings), with the
// German sharp s and the Latin ligatures expanded as in Unicode's SpecialCasing.txt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace inferno::token::jinja {

inline constexpr char32_t kNoCharacter = 0xFFFFFFFF;  // decode_at of a byte that is not UTF-8

bool is_ascii(std::string_view text);
size_t count_code_points(std::string_view text);
// The code point that starts at byte `at`, which moves behind it. Requires: at < text.size().
char32_t decode_at(std::string_view text, size_t& at);
// Appends as UTF-8; what is no code point (surrogates, beyond 0x10FFFF) becomes U+FFFD.
void append_code_point(std::string& out, char32_t code);
// Byte offset of code point `index`; text.size() when there are fewer.
size_t byte_offset(std::string_view text, size_t index);
// One view per code point.
std::vector<std::string_view> split_code_points(std::string_view text);

bool is_space(char32_t code);
bool is_alpha(char32_t code);
bool is_digit(char32_t code);
bool is_upper(char32_t code);
bool is_lower(char32_t code);
// False for what repr() shows as an escape: controls, format characters, spaces but ' ',
// unassigned.
bool is_printable(char32_t code);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string swap_case(std::string_view text);
// First code point upper, rest lower.
std::string capitalize(std::string_view text);
// Every run of letters capitalised, as str.title().
std::string title(std::string_view text);

enum class Side : uint8_t { kBoth, kLeft, kRight };
// Without the white space (chars absent), or the code points of `chars`, at its ends.
std::string_view strip(std::string_view text, Side side = Side::kBoth,
                       std::optional<std::string_view> chars = std::nullopt);

// At runs of white space; no empty parts. At most `limit` cuts (none: no limit), counted from the
// left or the right.
std::vector<std::string_view> split_words(std::string_view text, std::optional<size_t> limit,
                                          Side from);
// At every `separator`. Requires: separator not empty.
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       std::optional<size_t> limit, Side from);
enum class LineEnds : uint8_t { kDrop, kKeep };
std::vector<std::string_view> split_lines(std::string_view text, LineEnds ends = LineEnds::kDrop);

// How often `part` occurs without overlap; an empty part occurs between all code points and at both
// ends.
size_t count_occurrences(std::string_view text, std::string_view part);
// Replaces the first `limit` occurrences (none: all).
std::string replace(std::string_view text, std::string_view from, std::string_view to,
                    std::optional<size_t> limit = std::nullopt);

// & < > ' " as HTML entities.
std::string escape_html(std::string_view text);
// As Python's repr() of a string: quoted, with escapes.
std::string quote(std::string_view text);

}  // namespace inferno::token::jinja
