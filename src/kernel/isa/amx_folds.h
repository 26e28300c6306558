// How the codes and the sub-scale of a super-block become bytes for the tile unit:
//
//   w = sub_scale * (code - zero point) = first byte + 2^kShift * second byte
//
// or only a first byte where kParts is 1; the negative of w where kIsNegated. put() makes those of
// 16 outputs by 4 k, whose sub-scales the constructor took.
#pragma once

#include "kernel/isa/dot.h"
#include "kernel/isa/vec.h"

namespace inferno::kernel::INFERNO_ISA {

// Each of 16 lanes repeated in both of its halves, or all four of its bytes.
inline __m512i twice(__m512i v) {
  return _mm512_mullo_epi32(v, _mm512_set1_epi32(0x00010001));
}
inline __m512i four_times(__m512i v) {
  return _mm512_mullo_epi32(v, _mm512_set1_epi32(0x01010101));
}

// sub_scale < 64 = 8 * high + low, codes < 32 and no zero point: each part of the scale times a
// code is below 256, so that one 16-bit product multiplies two codes.
struct SplitScale {
  static constexpr int kParts = 2, kShift = 3;
  static constexpr bool kIsSigned[2] = {false, false}, kIsNegated = false;
  __m512i low, high;
  explicit SplitScale(__m512i scale)
      : low(twice(_mm512_and_si512(scale, _mm512_set1_epi32(7)))),
        high(twice(_mm512_maskz_srli_epi32(kAllLanes, scale, 3))) {}
  INFERNO_INLINE void put(__m512i codes, uint8_t* first, uint8_t* second) const {
    _mm512_store_si512(first, _mm512_mullo_epi16(codes, low));
    _mm512_store_si512(second, _mm512_mullo_epi16(codes, high));
  }
};

// sub_scale * code is below 256, without a zero point.
struct WholeScale {
  static constexpr int kParts = 1;
  static constexpr bool kIsSigned[2] = {false, false}, kIsNegated = false;
  __m512i factor;
  explicit WholeScale(__m512i scale) : factor(twice(scale)) {}
  INFERNO_INLINE void put(__m512i codes, uint8_t* first, uint8_t*) const {
    _mm512_store_si512(first, _mm512_mullo_epi16(codes, factor));
  }
};

// sub_scale in [-32, 31] times code - 4 in [-4, 3] is in [-124, 128], so its negative is a byte:
//   scale > 0:   -w = (7 - code) * scale - 3 * scale
//   scale <= 0:  -w = code * |scale| - 4 * |scale|
// and products of two codes at once, with |scale|, stay below 256.
struct NegatedProduct {
  static constexpr int kParts = 1;
  static constexpr bool kIsSigned[2] = {true, true}, kIsNegated = true;
  __m512i flip, factor, offset;
  explicit NegatedProduct(__m512i scale) {
    const __mmask16 is_positive = _mm512_cmpgt_epi32_mask(scale, _mm512_setzero_si512());
    const __m512i size = _mm512_maskz_abs_epi32(kAllLanes, scale);
    flip = _mm512_maskz_set1_epi32(is_positive, 0x07070707);
    factor = twice(size);
    const __m512i thrice = _mm512_add_epi32(size, _mm512_add_epi32(size, size));
    const __mmask16 is_not = static_cast<__mmask16>(~is_positive);
    offset = four_times(_mm512_mask_add_epi32(thrice, is_not, thrice, size));
  }
  INFERNO_INLINE void put(__m512i codes, uint8_t* first, uint8_t*) const {
    const __m512i product = _mm512_mullo_epi16(_mm512_xor_si512(codes, flip), factor);
    _mm512_store_si512(first, _mm512_sub_epi8(product, offset));
  }
};

// Any codes and any sub-scale of a byte: w = 256 * high + low, low unsigned. vpmaddubsw with every
// second byte of the scale zero gives 16-bit products of the codes at even k, and at odd k.
template <int kZeroPoint>
struct WideProduct {
  static constexpr int kParts = 2, kShift = 8;
  static constexpr bool kIsSigned[2] = {false, true}, kIsNegated = false;
  __m512i even, odd, offset;
  explicit WideProduct(__m512i scale) {
    even = twice(_mm512_and_si512(scale, _mm512_set1_epi32(0xFF)));
    odd = _mm512_slli_epi16(even, 8);
    const __m512i times = _mm512_mullo_epi32(scale, _mm512_set1_epi32(kZeroPoint));
    offset = twice(_mm512_and_si512(times, _mm512_set1_epi32(0xFFFF)));
  }
  INFERNO_INLINE void put(__m512i codes, uint8_t* first, uint8_t* second) const {
    const __m512i lower_byte = _mm512_set1_epi16(0x00FF);
    const __m512i a = _mm512_sub_epi16(_mm512_maddubs_epi16(codes, even), offset);
    const __m512i b = _mm512_sub_epi16(_mm512_maddubs_epi16(codes, odd), offset);
    constexpr int kSelect = 0xCA;  // the first where the mask is set, else the second or third
    const __m512i low = _mm512_slli_epi16(b, 8);
    const __m512i high = _mm512_srli_epi16(a, 8);
    _mm512_store_si512(first, _mm512_ternarylogic_epi32(lower_byte, a, low, kSelect));
    _mm512_store_si512(second, _mm512_ternarylogic_epi32(lower_byte, high, b, kSelect));
  }
};

// No sub-scales: code - 1.
struct Ternary {
  static constexpr int kParts = 1;
  static constexpr bool kIsSigned[2] = {true, true}, kIsNegated = false;
  explicit Ternary(__m512i) {}
  INFERNO_INLINE void put(__m512i codes, uint8_t* first, uint8_t*) const {
    _mm512_store_si512(first, _mm512_sub_epi8(codes, _mm512_set1_epi8(1)));
  }
};

}  // namespace inferno::kernel::INFERNO_ISA
