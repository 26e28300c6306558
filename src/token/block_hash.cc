#include "token/block_hash.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <bit>
#include <cstring>
#include <vector>

namespace inferno::token {
namespace {

static_assert(std::endian::native == std::endian::little, "hashes are over little-endian bytes");

BlockHash from_xxh(XXH128_hash_t hash) {
  return {hash.high64, hash.low64};
}

void append_number(uint64_t number, std::string& out) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  out.append(bytes, sizeof number);
}

}  // namespace

BlockHash root_hash(BlockRoot root) {
  // Lengths in front keep ("ab", "c") and ("a", "bc") apart.
  std::string bytes;
  append_number(root.salt.size(), bytes);
  bytes += root.salt;
  append_number(root.adapter.size(), bytes);
  bytes += root.adapter;
  return from_xxh(XXH3_128bits(bytes.data(), bytes.size()));
}

BlockHash child_hash(BlockHash parent, std::span<const TokenId> tokens) {
  // Pages are 16 tokens by default: those of up to 64 are hashed from the stack.
  constexpr size_t kStackTokens = 64;
  const size_t token_bytes = tokens.size() * sizeof(TokenId);
  const size_t bytes = sizeof parent + token_bytes;
  char stack[sizeof parent + kStackTokens * sizeof(TokenId)];
  std::vector<char> heap;
  char* buffer = stack;
  if (bytes > sizeof stack) {
    heap.resize(bytes);
    buffer = heap.data();
  }
  std::memcpy(buffer, &parent.high, sizeof parent.high);
  std::memcpy(buffer + sizeof parent.high, &parent.low, sizeof parent.low);
  if (!tokens.empty()) std::memcpy(buffer + sizeof parent, tokens.data(), token_bytes);
  return from_xxh(XXH3_128bits(buffer, bytes));
}

std::string to_string(BlockHash hash) {
  return fmt::format("{:016x}{:016x}", hash.high, hash.low);
}

}  // namespace inferno::token
