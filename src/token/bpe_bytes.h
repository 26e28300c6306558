// GPT-2's spelling of bytes: each of the 256 bytes as one printable character, so that pieces are
// plain text.
//
// Printable ASCII and Latin-1 stand for themselves; the other 68 bytes are U+0100 and up, in order
// (openai/gpt-2, src/encoder.py, bytes_to_unicode).
//
// Threads: pure functions over constant tables.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace inferno::token {

// The character that stands for a byte.
char32_t stand_in_of(uint8_t byte);

// The bytes that a piece stands for. None if it has a character that stands for no byte.
std::optional<std::string> bytes_of_piece(std::string_view piece);

// The piece that stands for `bytes`.
std::string piece_of_bytes(std::string_view bytes);

}  // namespace inferno::token
