// Sixteen outputs by four k of codes in one register, and their dot products with vpdpbusd (AVX-512
// VNNI). dot.h says what each name means.
#pragma once

#include "kernel/isa/unroll.h"
#include "kernel/isa/vec.h"

namespace inferno::kernel::INFERNO_ISA {

// 6 rows x 2 panels: 12 integer and 12 float accumulators of 32 registers. More rows than
// kDirectRows, split evenly into blocks of at most kTileRows, are blocks of at least
// kLeastTileRows.
inline constexpr int kTilePanels = 2;
inline constexpr int kTileRows = 6;
inline constexpr int kLeastTileRows = 4;
inline constexpr int kDirectRows = 8;

struct Codes {
  __m512i v;
};
using Quad = __m512i;

inline Codes load_codes(const uint8_t* p) {
  return {_mm512_load_si512(p)};
}
inline void store_codes(uint8_t* p, Codes c) {
  _mm512_store_si512(p, c.v);
}

template <int kStep>
inline Codes nibbles_of(Codes packed) {
  const __m512i shifted = kStep % 2 == 0 ? packed.v : _mm512_srli_epi16(packed.v, 4);
  return {_mm512_and_si512(shifted, _mm512_set1_epi8(15))};
}
template <int kStep>
inline Codes pairs_of(Codes packed) {
  const __m512i shifted = kStep % 4 == 0 ? packed.v : _mm512_srli_epi16(packed.v, kStep % 4 * 2);
  return {_mm512_and_si512(shifted, _mm512_set1_epi8(3))};
}
template <int kStep>
inline Codes add_pairs_shifted(Codes low, Codes packed) {
  __m512i shifted = packed.v;
  if constexpr (kStep % 4 == 0) shifted = _mm512_slli_epi16(packed.v, 4);
  if constexpr (kStep % 4 == 1) shifted = _mm512_slli_epi16(packed.v, 2);
  if constexpr (kStep % 4 == 3) shifted = _mm512_srli_epi16(packed.v, 2);
  // low | (shifted & 0x30)
  return {_mm512_ternarylogic_epi32(low.v, shifted, _mm512_set1_epi8(0x30), 0xF8)};
}
template <int kValue>
inline Codes add_bits(Codes low, const uint8_t* bits) {
  const __mmask64 set = _load_mask64(reinterpret_cast<__mmask64*>(const_cast<uint8_t*>(bits)));
  return {_mm512_mask_add_epi8(low.v, set, low.v, _mm512_set1_epi8(kValue))};
}

struct Codebook {
  __m512i table;
};
inline Codebook load_codebook(const int8_t* levels) {
  const __m128i row = _mm_loadu_si128(reinterpret_cast<const __m128i*>(levels));
  return {_mm512_maskz_broadcast_i32x4(0xFFFF, _mm_add_epi8(row, _mm_set1_epi8(-128)))};
}
inline Codes look_up(Codebook book, Codes nibbles) {
  return {_mm512_shuffle_epi8(book.table, nibbles.v)};
}

inline Quad load_quad(const int8_t* q) {
  int32_t bits;
  __builtin_memcpy(&bits, q, 4);
  return _mm512_set1_epi32(bits);
}

template <int kMaxCode, int kSteps>
struct Dot {
  __m512i sum;
  void start(int32_t value) { sum = _mm512_set1_epi32(value); }
  template <int kStep>
  INFERNO_INLINE void add(Codes codes, Quad q, Index<kStep>) {
    sum = _mm512_dpbusd_epi32(sum, codes.v, q);
  }
  Ints finish() const { return {sum}; }
};

inline Ints add_pair_products(Ints sum, Ints pairs, int32_t both) {
  return {_mm512_dpwssd_epi32(sum.v, pairs.v, _mm512_set1_epi32(both))};
}
inline Ints widen_to_pairs(const uint8_t* p) {
  const __m256i bytes = _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_cvtepu8_epi16(bytes)};
}
inline Ints widen_u8(const uint8_t* p) {
  const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm512_maskz_cvtepu8_epi32(kAllLanes, bytes)};
}
inline Ints widen_i8(const uint8_t* p) {
  const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm512_maskz_cvtepi8_epi32(kAllLanes, bytes)};
}
inline Ints widen_i16(const int16_t* p) {
  const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_maskz_cvtepi16_epi32(kAllLanes, words)};
}
inline Ints multiply_int(Ints a, int32_t factor) {
  return {_mm512_mullo_epi32(a.v, _mm512_set1_epi32(factor))};
}
template <int kShift>
inline Ints low_nibble_pairs(Ints pairs) {
  return {_mm512_and_si512(_mm512_srli_epi16(pairs.v, kShift), _mm512_set1_epi16(15))};
}
inline Ints first_of_pairs(Ints pairs) {
  return {_mm512_and_si512(pairs.v, _mm512_set1_epi32(0xFFFF))};
}
inline Ints second_of_pairs(Ints pairs) {
  return {_mm512_maskz_srli_epi32(kAllLanes, pairs.v, 16)};
}

}  // namespace inferno::kernel::INFERNO_ISA
