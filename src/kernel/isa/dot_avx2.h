// Sixteen outputs by four k of codes in two registers, and their dot products with vpmaddubsw
// (AVX2). dot.h says what each name means.
#pragma once

#include "kernel/isa/unroll.h"
#include "kernel/isa/vec.h"

namespace inferno::kernel::INFERNO_ISA {

// 2 rows x 1 panel: 4 integer and 4 float accumulators of 16 registers.
inline constexpr int kTilePanels = 1;
inline constexpr int kTileRows = 2;
inline constexpr int kLeastTileRows = 1;
inline constexpr int kDirectRows = 2;

struct Codes {
  __m256i low, high;  // outputs 0-7, 8-15
};
using Quad = __m256i;

inline Codes load_codes(const uint8_t* p) {
  return {_mm256_load_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_load_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
inline void store_codes(uint8_t* p, Codes c) {
  _mm256_store_si256(reinterpret_cast<__m256i*>(p), c.low);
  _mm256_store_si256(reinterpret_cast<__m256i*>(p + 32), c.high);
}

template <int kBits, int kMask>
inline __m256i masked_shift_right(__m256i v) {
  const __m256i shifted = kBits == 0 ? v : _mm256_srli_epi16(v, kBits);
  return _mm256_and_si256(shifted, _mm256_set1_epi8(static_cast<char>(kMask)));
}
template <int kStep>
inline Codes nibbles_of(Codes packed) {
  constexpr int kBits = kStep % 2 * 4;
  return {masked_shift_right<kBits, 15>(packed.low), masked_shift_right<kBits, 15>(packed.high)};
}
template <int kStep>
inline Codes pairs_of(Codes packed) {
  constexpr int kBits = kStep % 4 * 2;
  return {masked_shift_right<kBits, 3>(packed.low), masked_shift_right<kBits, 3>(packed.high)};
}
template <int kStep>
inline __m256i add_pairs_half(__m256i low, __m256i packed) {
  __m256i shifted = packed;
  if constexpr (kStep % 4 == 0) shifted = _mm256_slli_epi16(packed, 4);
  if constexpr (kStep % 4 == 1) shifted = _mm256_slli_epi16(packed, 2);
  if constexpr (kStep % 4 == 3) shifted = _mm256_srli_epi16(packed, 2);
  return _mm256_or_si256(low, _mm256_and_si256(shifted, _mm256_set1_epi8(0x30)));
}
template <int kStep>
inline Codes add_pairs_shifted(Codes low, Codes packed) {
  return {add_pairs_half<kStep>(low.low, packed.low), add_pairs_half<kStep>(low.high, packed.high)};
}
// Byte i of the result is `value` where bit i of `bits` is set.
inline __m256i spread_bits(uint32_t bits, int value) {
  const __m256i from = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                        2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201ULL));
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int32_t>(bits)), from);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
  return _mm256_and_si256(set, _mm256_set1_epi8(static_cast<char>(value)));
}
template <int kValue>
inline Codes add_bits(Codes low, const uint8_t* bits) {
  uint32_t halves[2];
  __builtin_memcpy(halves, bits, 8);
  return {_mm256_or_si256(low.low, spread_bits(halves[0], kValue)),
          _mm256_or_si256(low.high, spread_bits(halves[1], kValue))};
}

struct Codebook {
  __m256i table;
};
inline Codebook load_codebook(const int8_t* levels) {
  const __m128i row = _mm_loadu_si128(reinterpret_cast<const __m128i*>(levels));
  return {_mm256_broadcastsi128_si256(_mm_add_epi8(row, _mm_set1_epi8(-128)))};
}
inline Codes look_up(Codebook book, Codes nibbles) {
  return {_mm256_shuffle_epi8(book.table, nibbles.low),
          _mm256_shuffle_epi8(book.table, nibbles.high)};
}

inline Quad load_quad(const int8_t* q) {
  int32_t bits;
  __builtin_memcpy(&bits, q, 4);
  return _mm256_set1_epi32(bits);
}

// vpmaddubsw adds two products of at most kMaxCode * 127 in int16; so many of its results fit one
// int16.
template <int kMaxCode, int kSteps>
struct Dot {
  static constexpr int kFit = 32767 / (2 * kMaxCode * 127);
  __m256i low, high;      // int32 sums
  __m256i low16, high16;  // int16 sums since the last flush
  void start(int32_t value) { low = high = _mm256_set1_epi32(value); }
  template <int kStep>
  INFERNO_INLINE void add(Codes codes, Quad q, Index<kStep>) {
    const __m256i a = _mm256_maddubs_epi16(codes.low, q);
    const __m256i b = _mm256_maddubs_epi16(codes.high, q);
    low16 = kStep % kFit == 0 ? a : _mm256_add_epi16(low16, a);
    high16 = kStep % kFit == 0 ? b : _mm256_add_epi16(high16, b);
    if constexpr (kStep % kFit == kFit - 1 || kStep == kSteps - 1) {
      low = _mm256_add_epi32(low, _mm256_madd_epi16(low16, _mm256_set1_epi16(1)));
      high = _mm256_add_epi32(high, _mm256_madd_epi16(high16, _mm256_set1_epi16(1)));
    }
  }
  Ints finish() const { return {low, high}; }
};

// Codes of 8 bits would overflow: |w| * (q with the sign of w), w = code - 128, adds two products
// of at most 128 * 127. The caller's start value then already contains -128 * sum(q), which is
// taken back here.
template <int kSteps>
struct Dot<255, kSteps> {
  __m256i low, high;
  void start(int32_t) { low = high = _mm256_setzero_si256(); }
  INFERNO_INLINE static __m256i products(__m256i codes, Quad q) {
    const __m256i w = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(q, w));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  }
  template <int kStep>
  INFERNO_INLINE void add(Codes codes, Quad q, Index<kStep>) {
    low = _mm256_add_epi32(low, products(codes.low, q));
    high = _mm256_add_epi32(high, products(codes.high, q));
  }
  Ints finish() const { return {low, high}; }
};

inline Ints add_pair_products(Ints sum, Ints pairs, int32_t both) {
  const __m256i q = _mm256_set1_epi32(both);
  return {_mm256_add_epi32(sum.low, _mm256_madd_epi16(pairs.low, q)),
          _mm256_add_epi32(sum.high, _mm256_madd_epi16(pairs.high, q))};
}
inline __m128i load_16_bytes(const void* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline Ints widen_to_pairs(const uint8_t* p) {
  return {_mm256_cvtepu8_epi16(load_16_bytes(p)), _mm256_cvtepu8_epi16(load_16_bytes(p + 16))};
}
inline Ints widen_u8(const uint8_t* p) {
  const __m128i bytes = load_16_bytes(p);
  return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}
inline Ints widen_i8(const uint8_t* p) {
  const __m128i bytes = load_16_bytes(p);
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))};
}
inline Ints widen_i16(const int16_t* p) {
  return {_mm256_cvtepi16_epi32(load_16_bytes(p)), _mm256_cvtepi16_epi32(load_16_bytes(p + 8))};
}
inline Ints multiply_int(Ints a, int32_t factor) {
  const __m256i f = _mm256_set1_epi32(factor);
  return {_mm256_mullo_epi32(a.low, f), _mm256_mullo_epi32(a.high, f)};
}
template <int kShift>
inline Ints low_nibble_pairs(Ints pairs) {
  const __m256i mask = _mm256_set1_epi16(15);
  return {_mm256_and_si256(_mm256_srli_epi16(pairs.low, kShift), mask),
          _mm256_and_si256(_mm256_srli_epi16(pairs.high, kShift), mask)};
}
inline Ints first_of_pairs(Ints pairs) {
  const __m256i mask = _mm256_set1_epi32(0xFFFF);
  return {_mm256_and_si256(pairs.low, mask), _mm256_and_si256(pairs.high, mask)};
}
inline Ints second_of_pairs(Ints pairs) {
  return {_mm256_srli_epi32(pairs.low, 16), _mm256_srli_epi32(pairs.high, 16)};
}

}  // namespace inferno::kernel::INFERNO_ISA
