// The sixteen-lane vectors of vec.h as AVX-512 registers. vec_plain.h says what each function does.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

namespace inferno::kernel::INFERNO_ISA {

struct Floats {
  __m512 v;
};
struct Ints {
  __m512i v;
};
struct Lanes {
  __mmask16 set;
};

// Masked forms with every lane set are the plain instruction; they spare g++ 12 a false warning
// about the uninitialized vector in its own headers.
inline constexpr __mmask16 kAllLanes = 0xFFFF;

inline float float_of_f16(uint16_t bits) {
  return _cvtsh_ss(bits);
}
inline uint16_t f16_of_float(float value) {
  return static_cast<uint16_t>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT));
}

inline Ints set1_int(int32_t value) {
  return {_mm512_set1_epi32(value)};
}
inline Ints load_int(const int32_t* p) {
  return {_mm512_loadu_si512(p)};
}
inline void store_int(int32_t* p, Ints v) {
  _mm512_storeu_si512(p, v.v);
}
inline Ints lane_numbers() {
  return {_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)};
}
inline Lanes less_int(Ints a, Ints b) {
  return {_mm512_cmplt_epi32_mask(a.v, b.v)};
}
inline Lanes first_lanes(int count) {
  return less_int(lane_numbers(), set1_int(count));
}

inline Floats set1(float value) {
  return {_mm512_set1_ps(value)};
}
inline Floats zero() {
  return {_mm512_setzero_ps()};
}
inline Floats load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
inline Floats load_n(const float* p, int count) {
  return {_mm512_maskz_loadu_ps(first_lanes(count).set, p)};
}
inline void store(float* p, Floats v) {
  _mm512_storeu_ps(p, v.v);
}
inline void store_n(float* p, Floats v, int count) {
  _mm512_mask_storeu_ps(p, first_lanes(count).set, v.v);
}
inline Floats load_f16(const uint16_t* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_maskz_cvtph_ps(kAllLanes, bits)};
}
inline void store_f16(uint16_t* p, Floats v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_maskz_cvtps_ph(kAllLanes, v.v, _MM_FROUND_TO_NEAREST_INT));
}
inline Floats load_bf16(const uint16_t* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m512i wide = _mm512_maskz_cvtepu16_epi32(kAllLanes, bits);
  return {_mm512_castsi512_ps(_mm512_maskz_slli_epi32(kAllLanes, wide, 16))};
}

struct FloatPairs {
  Floats first, second;
};
inline FloatPairs load_bf16_pairs(const uint16_t* p) {
  const __m512i pairs = _mm512_loadu_si512(p);
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xFFFF0000u));
  return {{_mm512_castsi512_ps(_mm512_maskz_slli_epi32(kAllLanes, pairs, 16))},
          {_mm512_castsi512_ps(_mm512_and_si512(pairs, upper))}};
}

inline Floats add(Floats a, Floats b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline Floats sub(Floats a, Floats b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline Floats mul(Floats a, Floats b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline Floats div(Floats a, Floats b) {
  return {_mm512_div_ps(a.v, b.v)};
}
inline Floats sqrt(Floats a) {
  return {_mm512_maskz_sqrt_ps(kAllLanes, a.v)};
}
inline Floats abs(Floats a) {
  return {_mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v)};
}
inline Floats min(Floats a, Floats b) {
  return {_mm512_maskz_min_ps(kAllLanes, a.v, b.v)};
}
inline Floats max(Floats a, Floats b) {
  return {_mm512_maskz_max_ps(kAllLanes, a.v, b.v)};
}
inline Floats fma(Floats a, Floats b, Floats c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
inline Floats fnma(Floats a, Floats b, Floats c) {
  return {_mm512_fnmadd_ps(a.v, b.v, c.v)};
}

inline Lanes less(Floats a, Floats b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
}
inline Lanes less_equal(Floats a, Floats b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)};
}
inline Lanes equal(Floats a, Floats b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)};
}
inline Lanes both(Lanes a, Lanes b) {
  return {static_cast<__mmask16>(a.set & b.set)};
}
inline Lanes either(Lanes a, Lanes b) {
  return {static_cast<__mmask16>(a.set | b.set)};
}
inline Floats select(Lanes set, Floats a, Floats b) {
  return {_mm512_mask_blend_ps(set.set, b.v, a.v)};
}

inline Ints bits_of(Floats a) {
  return {_mm512_castps_si512(a.v)};
}
inline Floats floats_of(Ints a) {
  return {_mm512_castsi512_ps(a.v)};
}
inline Ints select_int(Lanes set, Ints a, Ints b) {
  return {_mm512_mask_blend_epi32(set.set, b.v, a.v)};
}
inline Ints add_int(Ints a, Ints b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
inline Ints sub_int(Ints a, Ints b) {
  return {_mm512_sub_epi32(a.v, b.v)};
}
template <int kBits>
inline Ints shift_left(Ints a) {
  return {_mm512_maskz_slli_epi32(kAllLanes, a.v, kBits)};
}
template <int kBits>
inline Ints shift_right(Ints a) {
  return {_mm512_maskz_srai_epi32(kAllLanes, a.v, kBits)};
}
inline Floats to_float(Ints a) {
  return {_mm512_maskz_cvtepi32_ps(kAllLanes, a.v)};
}
inline Ints to_int(Floats a) {
  return {_mm512_maskz_cvtps_epi32(kAllLanes, a.v)};
}

inline Ints load_int8_pairs(const int8_t* p) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_maskz_cvtepi8_epi16(0xFFFFFFFF, bytes)};
}
inline Ints add_pair_products(Ints sum, Ints a, Ints b) {
  return {_mm512_dpwssd_epi32(sum.v, a.v, b.v)};
}
inline void store_int16(int16_t* p, Ints v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_maskz_cvtepi32_epi16(kAllLanes, v.v));
}
inline void store_int8(int8_t* p, Ints v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(kAllLanes, v.v));
}

template <int kHalf>
inline __m256 half_of(Floats v) {
  return _mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(0xFF, _mm512_castps_pd(v.v), kHalf));
}
inline float reduce_add(Floats v) {
  const __m256 eight = _mm256_add_ps(half_of<0>(v), half_of<1>(v));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float reduce_max(Floats v) {
  const __m256 eight = _mm256_max_ps(half_of<0>(v), half_of<1>(v));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

}  // namespace inferno::kernel::INFERNO_ISA
