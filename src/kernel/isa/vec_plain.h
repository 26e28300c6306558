// The sixteen-lane vectors of vec.h in plain C++: arrays and loops. This is the definition that the
// other instruction sets are held to.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace inferno::kernel::INFERNO_ISA {

struct Floats {
  float lane[16];
};
struct Ints {
  int32_t lane[16];
};
struct Lanes {
  bool lane[16];
};

// float16 bits -> float, exact; subnormals, infinities and NaN included.
inline float float_of_f16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1Fu;
  uint32_t mantissa = bits & 0x3FFu;
  uint32_t result;
  if (exponent == 31) {
    result = sign | 0x7F800000u | (mantissa << 13) | (mantissa != 0 ? 0x400000u : 0u);
  } else if (exponent != 0) {
    result = sign | ((exponent + 112) << 23) | (mantissa << 13);
  } else {
    const float value = static_cast<float>(mantissa) * 0x1p-24f;
    uint32_t value_bits;
    __builtin_memcpy(&value_bits, &value, 4);
    result = sign | value_bits;
  }
  float out;
  __builtin_memcpy(&out, &result, 4);
  return out;
}

// float -> float16 bits, to nearest even; too large becomes infinity.
inline uint16_t f16_of_float(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  uint32_t result;
  if (magnitude > 0x7F800000u) {
    result = 0x7E00u | ((magnitude >> 13) & 0x1FFu);
  } else if (magnitude >= 0x477FF000u) {  // 65520: halfway between the largest float16 and 2^16
    result = 0x7C00u;
  } else if (magnitude >= 0x38800000u) {  // 2^-14: a normal float16
    const uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
    result = (rounded - 0x38000000u) >> 13;
  } else {  // subnormal: adding 0.5 leaves round(value * 2^24) in the low bits of the sum
    float sum;
    __builtin_memcpy(&sum, &magnitude, 4);
    sum += 0.5f;
    uint32_t sum_bits;
    __builtin_memcpy(&sum_bits, &sum, 4);
    result = sum_bits - 0x3F000000u;
  }
  return static_cast<uint16_t>(sign | result);
}

// One result lane per lane, from an expression in i.
#define INFERNO_LANES(type, expression) \
  type result;                          \
  for (int i = 0; i < 16; ++i) {        \
    result.lane[i] = (expression);      \
  }                                     \
  return result

inline Floats set1(float value) {
  INFERNO_LANES(Floats, value);
}
inline Floats zero() {
  return set1(0.0f);
}

inline Floats load(const float* p) {
  INFERNO_LANES(Floats, p[i]);
}
// The first `count` (0 to 16) lanes from memory, the others 0; nothing beyond them is read.
inline Floats load_n(const float* p, int count) {
  INFERNO_LANES(Floats, i < count ? p[i] : 0.0f);
}
inline void store(float* p, Floats v) {
  __builtin_memcpy(p, v.lane, 64);
}
// Writes the first `count` (0 to 16) lanes.
inline void store_n(float* p, Floats v, int count) {
  for (int i = 0; i < count && i < 16; ++i) {
    p[i] = v.lane[i];
  }
}
inline Floats load_f16(const uint16_t* p) {
  INFERNO_LANES(Floats, float_of_f16(p[i]));
}
inline void store_f16(uint16_t* p, Floats v) {
  for (int i = 0; i < 16; ++i) {
    p[i] = f16_of_float(v.lane[i]);
  }
}
inline Floats load_bf16(const uint16_t* p) {
  Floats result;
  for (int i = 0; i < 16; ++i) {
    const uint32_t bits = static_cast<uint32_t>(p[i]) << 16;
    __builtin_memcpy(&result.lane[i], &bits, 4);
  }
  return result;
}

// 16 pairs of bfloat16, apart.
struct FloatPairs {
  Floats first, second;  // lane i is p[2 i], p[2 i + 1]
};
inline FloatPairs load_bf16_pairs(const uint16_t* p) {
  FloatPairs result;
  for (int i = 0; i < 16; ++i) {
    const uint32_t first = static_cast<uint32_t>(p[2 * i]) << 16;
    const uint32_t second = static_cast<uint32_t>(p[2 * i + 1]) << 16;
    __builtin_memcpy(&result.first.lane[i], &first, 4);
    __builtin_memcpy(&result.second.lane[i], &second, 4);
  }
  return result;
}

inline Floats add(Floats a, Floats b) {
  INFERNO_LANES(Floats, a.lane[i] + b.lane[i]);
}
inline Floats sub(Floats a, Floats b) {
  INFERNO_LANES(Floats, a.lane[i] - b.lane[i]);
}
inline Floats mul(Floats a, Floats b) {
  INFERNO_LANES(Floats, a.lane[i] * b.lane[i]);
}
inline Floats div(Floats a, Floats b) {
  INFERNO_LANES(Floats, a.lane[i] / b.lane[i]);
}
inline Floats sqrt(Floats a) {
  INFERNO_LANES(Floats, __builtin_sqrtf(a.lane[i]));
}
inline Floats abs(Floats a) {
  INFERNO_LANES(Floats, __builtin_fabsf(a.lane[i]));
}
// a < b ? a : b, so the second operand where either is NaN.
inline Floats min(Floats a, Floats b) {
  INFERNO_LANES(Floats, a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]);
}
// a > b ? a : b, so the second operand where either is NaN.
inline Floats max(Floats a, Floats b) {
  INFERNO_LANES(Floats, a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]);
}
// a * b + c, rounded once.
inline Floats fma(Floats a, Floats b, Floats c) {
  INFERNO_LANES(Floats, __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]));
}
// c - a * b, rounded once.
inline Floats fnma(Floats a, Floats b, Floats c) {
  INFERNO_LANES(Floats, __builtin_fmaf(-a.lane[i], b.lane[i], c.lane[i]));
}

// Comparisons are false where either operand is NaN.
inline Lanes less(Floats a, Floats b) {
  INFERNO_LANES(Lanes, a.lane[i] < b.lane[i]);
}
inline Lanes less_equal(Floats a, Floats b) {
  INFERNO_LANES(Lanes, a.lane[i] <= b.lane[i]);
}
inline Lanes equal(Floats a, Floats b) {
  INFERNO_LANES(Lanes, a.lane[i] == b.lane[i]);
}
inline Lanes less_int(Ints a, Ints b) {
  INFERNO_LANES(Lanes, a.lane[i] < b.lane[i]);
}
// Lanes 0 to count - 1.
inline Lanes first_lanes(int count) {
  INFERNO_LANES(Lanes, i < count);
}
inline Lanes both(Lanes a, Lanes b) {
  INFERNO_LANES(Lanes, a.lane[i] && b.lane[i]);
}
inline Lanes either(Lanes a, Lanes b) {
  INFERNO_LANES(Lanes, a.lane[i] || b.lane[i]);
}
// a where the lane is set, else b.
inline Floats select(Lanes set, Floats a, Floats b) {
  INFERNO_LANES(Floats, set.lane[i] ? a.lane[i] : b.lane[i]);
}
inline Ints select_int(Lanes set, Ints a, Ints b) {
  INFERNO_LANES(Ints, set.lane[i] ? a.lane[i] : b.lane[i]);
}

inline Ints set1_int(int32_t value) {
  INFERNO_LANES(Ints, value);
}
inline Ints load_int(const int32_t* p) {
  INFERNO_LANES(Ints, p[i]);
}
inline void store_int(int32_t* p, Ints v) {
  __builtin_memcpy(p, v.lane, 64);
}
// 0, 1, ... 15.
inline Ints lane_numbers() {
  INFERNO_LANES(Ints, i);
}
// Integers wrap around.
inline Ints add_int(Ints a, Ints b) {
  INFERNO_LANES(Ints, static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) +
                                           static_cast<uint32_t>(b.lane[i])));
}
inline Ints sub_int(Ints a, Ints b) {
  INFERNO_LANES(Ints, static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) -
                                           static_cast<uint32_t>(b.lane[i])));
}
template <int kBits>
inline Ints shift_left(Ints a) {
  INFERNO_LANES(Ints, static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) << kBits));
}
// Copies of the sign come in at the top.
template <int kBits>
inline Ints shift_right(Ints a) {
  INFERNO_LANES(Ints, a.lane[i] >> kBits);
}
inline Floats to_float(Ints a) {
  INFERNO_LANES(Floats, static_cast<float>(a.lane[i]));
}
// To the nearest integer, ties to even. Requires: |a| < 2^31.
inline Ints to_int(Floats a) {
  INFERNO_LANES(Ints, static_cast<int32_t>(__builtin_rintf(a.lane[i])));
}
// 16 pairs of int8, widened to pairs of int16: lane i holds p[2 i] in its low half, p[2 i + 1] in
// its high half.
inline Ints load_int8_pairs(const int8_t* p) {
  INFERNO_LANES(Ints, static_cast<int32_t>(static_cast<uint32_t>(p[2 * i] & 0xFFFF) |
                                           static_cast<uint32_t>(p[2 * i + 1]) << 16));
}
// sum + the two products of the int16 halves of a and b. Requires: nothing overflows.
inline Ints add_pair_products(Ints sum, Ints a, Ints b) {
  INFERNO_LANES(Ints, sum.lane[i] +
                          static_cast<int16_t>(a.lane[i]) * static_cast<int16_t>(b.lane[i]) +
                          (a.lane[i] >> 16) * (b.lane[i] >> 16));
}
// Requires: lanes in [-32768, 32767].
inline void store_int16(int16_t* p, Ints v) {
  for (int i = 0; i < 16; ++i)
    p[i] = static_cast<int16_t>(v.lane[i]);
}
// Requires: lanes in [-128, 127].
inline void store_int8(int8_t* p, Ints v) {
  for (int i = 0; i < 16; ++i)
    p[i] = static_cast<int8_t>(v.lane[i]);
}
inline Ints bits_of(Floats a) {
  Ints result;
  __builtin_memcpy(result.lane, a.lane, 64);
  return result;
}
inline Floats floats_of(Ints a) {
  Floats result;
  __builtin_memcpy(result.lane, a.lane, 64);
  return result;
}

inline float reduce_add(Floats v) {
  for (int step = 8; step >= 1; step /= 2) {
    for (int i = 0; i < step; ++i) {
      v.lane[i] += v.lane[i + step];
    }
  }
  return v.lane[0];
}
inline float reduce_max(Floats v) {
  for (int step = 8; step >= 1; step /= 2) {
    for (int i = 0; i < step; ++i) {
      v.lane[i] = v.lane[i] > v.lane[i + step] ? v.lane[i] : v.lane[i + step];
    }
  }
  return v.lane[0];
}

#undef INFERNO_LANES

}  // namespace inferno::kernel::INFERNO_ISA
