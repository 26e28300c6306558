// SHA-256 (FIPS 180-4), by which the conformance files name the values of whole tensors.
#pragma once

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace inferno::model {

// The first 32 bits of the fractions of the roots of the first primes: of the square roots where
// the hash starts, of the cube roots for the rounds (FIPS 180-4, sections 4.2.2 and 5.3.3),
// computed here.
template <size_t kCount, typename Root>
std::array<uint32_t, kCount> root_fractions(Root root) {
  std::array<uint32_t, kCount> fractions{};
  size_t found = 0;
  for (int n = 2; found < kCount; n++) {
    bool is_prime = true;
    for (int d = 2; d * d <= n; d++)
      is_prime = is_prime && n % d != 0;
    if (!is_prime) continue;
    const long double value = root(static_cast<long double>(n));
    fractions[found++] = static_cast<uint32_t>((value - std::floor(value)) * 4294967296.0L);
  }
  return fractions;
}

using Hash = std::array<uint32_t, 8>;

inline void hash_chunk(const uint8_t* chunk, Hash& hash) {
  static const auto kRounds = root_fractions<64>([](long double x) { return std::cbrt(x); });
  std::array<uint32_t, 64> w{};
  for (size_t i = 0; i < 16; i++) {
    w[i] = static_cast<uint32_t>(chunk[4 * i]) << 24 |
           static_cast<uint32_t>(chunk[4 * i + 1]) << 16 |
           static_cast<uint32_t>(chunk[4 * i + 2]) << 8 | chunk[4 * i + 3];
  }
  for (size_t i = 16; i < 64; i++) {
    const uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[i - 7] +
           (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
  }
  auto [a, b, c, d, e, f, g, h] = hash;
  for (size_t i = 0; i < 64; i++) {
    const uint32_t sum1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const uint32_t t1 = h + sum1 + ((e & f) ^ (~e & g)) + kRounds[i] + w[i];
    const uint32_t sum0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const uint32_t t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  const Hash mixed = {a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < 8; i++)
    hash[i] += mixed[i];
}

inline std::string sha256(std::span<const uint8_t> bytes) {
  Hash hash = root_fractions<8>([](long double x) { return std::sqrt(x); });
  size_t done = 0;
  for (; done + 64 <= bytes.size(); done += 64)
    hash_chunk(&bytes[done], hash);
  std::vector<uint8_t> tail(bytes.begin() + static_cast<ptrdiff_t>(done), bytes.end());
  tail.push_back(0x80);
  while (tail.size() % 64 != 56)
    tail.push_back(0);
  for (int shift = 56; shift >= 0; shift -= 8) {
    tail.push_back(static_cast<uint8_t>(uint64_t{bytes.size()} * 8 >> shift));
  }
  for (size_t i = 0; i < tail.size(); i += 64)
    hash_chunk(&tail[i], hash);
  std::string text;
  for (uint32_t word : hash)
    text += fmt::format("{:08x}", word);
  return text;
}

}  // namespace inferno::model
