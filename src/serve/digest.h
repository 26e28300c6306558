// A 128-bit name of some texts: XXH3-128 (xxhash.com, doc/xxhash_spec.md) over each text's length
// and bytes, so that ("ab", "c") and ("a", "bc") differ. Not cryptographic.
//
// Threads: pure functions. Cost: about 10 GB/s.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace inferno::serve {

struct Digest {
  uint64_t high = 0;
  uint64_t low = 0;
  friend auto operator<=>(const Digest&, const Digest&) = default;
};

// The name of `texts` in their order.
Digest digest_of(std::initializer_list<std::string_view> texts);

// 32 hexadecimal digits, high half first.
std::string to_string(Digest digest);

}  // namespace inferno::serve
