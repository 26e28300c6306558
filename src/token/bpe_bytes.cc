#include "token/bpe_bytes.h"

#include <array>

#include "token/unicode.h"

namespace inferno::token {
namespace {

constexpr int kStandIns = 0x144;  // one above the last stand-in, U+0143

struct Tables {
  std::array<char32_t, 256> stand_in{};
  std::array<int16_t, kStandIns> byte{};  // -1: stands for none
};

constexpr Tables make_tables() {
  Tables tables;
  tables.byte.fill(-1);
  char32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    const char32_t stand_in = printable ? char32_t{byte} : next++;
    tables.stand_in[byte] = stand_in;
    tables.byte[stand_in] = static_cast<int16_t>(byte);
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

char32_t stand_in_of(uint8_t byte) {
  return kTables.stand_in[byte];
}

std::optional<std::string> bytes_of_piece(std::string_view piece) {
  std::string bytes;
  while (!piece.empty()) {
    const Utf8Char next = decode_utf8(piece);
    if (next.state != Utf8State::kValid || next.code >= kStandIns) return std::nullopt;
    const int16_t byte = kTables.byte[next.code];
    if (byte < 0) return std::nullopt;
    bytes += static_cast<char>(byte);
    piece.remove_prefix(next.size);
  }
  return bytes;
}

std::string piece_of_bytes(std::string_view bytes) {
  std::string piece;
  for (const char byte : bytes)
    append_utf8(stand_in_of(static_cast<uint8_t>(byte)), piece);
  return piece;
}

}  // namespace inferno::token
