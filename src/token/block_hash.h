// Names of KV blocks by content: a 128-bit hash chained over (parent, tokens of the block).
//
//   root_hash(salt, adapter) -> child_hash(root, tokens 0..P) -> child_hash(that, tokens P..2P) ->
//   ...
//
// Equal names mean equal tokens from the first on, under the same salt and adapter, so equal KV.
// The hash is XXH3-128 (xxhash.com, doc/xxhash_spec.md) over little-endian bytes, the same on every
// machine. It is not cryptographic: tenants that must not learn of each other's prompts use
// different salts.
//
// Threads: pure functions. Cost: about 20 ns for a block of 16 tokens.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace inferno::token {

struct BlockHash {
  uint64_t high = 0;
  uint64_t low = 0;
  friend auto operator<=>(const BlockHash&, const BlockHash&) = default;
};

// What everything under one root shares.
struct BlockRoot {
  std::string_view salt;     // requests of different salts share no block
  std::string_view adapter;  // name of the adapter whose weights made the KV; empty: the base model
};

// The parent of a sequence's first block.
BlockHash root_hash(BlockRoot root);

// The name of the block that holds `tokens` after everything that `parent` names.
BlockHash child_hash(BlockHash parent, std::span<const TokenId> tokens);

// 32 hexadecimal digits, high half first.
std::string to_string(BlockHash hash);

}  // namespace inferno::token

template <>
struct std::hash<inferno::token::BlockHash> {
  size_t operator()(inferno::token::BlockHash name) const { return name.low; }
};
