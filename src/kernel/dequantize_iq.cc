// The IQ1, IQ2 and IQ3 formats: a super-block of 256 elements is 32 points of 8 values (IQ1, IQ2)
// or 64 points of 4 (IQ3) of a codebook, with signs and small integer scales.
//
// Source of the layouts: ggml/src/ggml-common.h of llama.cpp; the codebooks are in
// dequantize_grids.cc. Elements are handled in 16 or 32 groups of 16 or 8 that share a scale.
#include <bit>

#include "kernel/dequantize_formats.h"
#include "kernel/dequantize_grids.h"

namespace inferno::kernel {
namespace {

constexpr float kDeltaIq1 = 0.125f;  // how far the points of IQ1 are moved off their grid

// Multiplies after the grid value, as the reference does, so that a zero keeps its sign.
float with_sign(float value, int signs, int i) {
  return (signs >> i & 1) != 0 ? -value : value;
}

void put_iq2(float scale, unsigned point, int signs, float* out) {
  for (int i = 0; i < 8; i++) {
    out[i] = with_sign(scale * static_cast<float>(kLevelsIq2[point >> 2 * i & 3]), signs, i);
  }
}

// The half of eight elements whose signs begin at bit `first`.
void put_iq3(float scale, unsigned point, const int8_t* levels, int signs, float* out) {
  for (int i = 0; i < 4; i++) {
    out[i] = with_sign(scale * static_cast<float>(levels[point >> 4 * i & 7]), signs, i);
  }
}

void put_iq1(float scale, unsigned point, float delta, float* out) {
  for (int i = 0; i < 8; i++) {
    out[i] = scale * (static_cast<float>(static_cast<int>(point >> 2 * i & 3) - 1) + delta);
  }
}

}  // namespace

int signs_of(uint32_t seven_bits) {
  seven_bits &= 127;
  return static_cast<int>(seven_bits | (std::popcount(seven_bits) & 1u) << 7);
}

uint16_t iq1_m_half(const uint8_t* block) {
  unsigned half = 0;
  for (int w = 0; w < 4; w++)
    half |= (load_u16(block + 48 + w * 2) >> 12 & 15u) << 4 * w;
  return static_cast<uint16_t>(half);
}

// f16 d; per 32 elements: four bytes of points, then a word of four 7-bit signs and a 4-bit scale.
void decode_iq2_xxs(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int j = 0; j < 8; j++) {
    const uint8_t* points = block + 2 + j * 8;
    const uint32_t word = load_u32(points + 4);
    const float scale = d * (0.5f + static_cast<float>(word >> 28)) * 0.25f;
    for (int p = 0; p < 4; p++) {
      put_iq2(scale, kGridIq2Xxs[points[p]], signs_of(word >> 7 * p), out + j * 32 + p * 8);
    }
  }
}

// f16 d; 32 words of a 9-bit point and 7-bit signs; 8 bytes of two 4-bit scales.
void decode_iq2_xs(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int p = 0; p < 32; p++) {
    const unsigned word = load_u16(block + 2 + p * 2);
    const int code = block[66 + p / 4] >> p / 2 % 2 * 4 & 15;
    const float scale = d * (0.5f + static_cast<float>(code)) * 0.25f;
    put_iq2(scale, kGridIq2Xs[word & 511], signs_of(word >> 9), out + p * 8);
  }
}

// f16 d; 32 bytes of points, 32 of signs, 8 of the points' high 2 bits, 8 of two 4-bit scales.
void decode_iq2_s(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int p = 0; p < 32; p++) {
    const unsigned high = block[66 + p / 4] >> p % 4 * 2 & 3;
    const int code = block[74 + p / 4] >> p / 2 % 2 * 4 & 15;
    const float scale = d * (0.5f + static_cast<float>(code)) * 0.25f;
    put_iq2(scale, kGridIq2S[block[2 + p] | high << 8], block[34 + p], out + p * 8);
  }
}

// f16 d; 64 bytes of points; per 32 elements a word of four 7-bit signs and a 4-bit scale.
void decode_iq3_xxs(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int j = 0; j < 8; j++) {
    const uint32_t word = load_u32(block + 66 + j * 4);
    const float scale = d * (0.5f + static_cast<float>(word >> 28)) * 0.5f;
    for (int p = 0; p < 8; p++) {
      const int signs = signs_of(word >> 7 * (p / 2)) >> p % 2 * 4;
      put_iq3(scale, kGridIq3Xxs[block[2 + j * 8 + p]], kLevelsIq3Xxs, signs, out + j * 32 + p * 4);
    }
  }
}

// f16 d; 64 bytes of points, 8 of their ninth bits, 32 of signs, 4 of two 4-bit scales.
void decode_iq3_s(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int p = 0; p < 64; p++) {
    const unsigned high = block[66 + p / 8] >> p % 8 & 1;
    const int signs = block[74 + p / 2] >> p % 2 * 4;
    const int code = block[106 + p / 16] >> p / 8 % 2 * 4 & 15;
    const float scale = d * static_cast<float>(1 + 2 * code);
    put_iq3(scale, kGridIq3S[block[2 + p] | high << 8], kLevelsIq3S, signs, out + p * 4);
  }
}

// f16 d; 32 bytes of points; per 32 elements a word: four times 3 high bits, a 3-bit scale, the
// delta's sign.
void decode_iq1_s(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int p = 0; p < 32; p++) {
    const unsigned word = load_u16(block + 34 + p / 4 * 2);
    const float scale = d * static_cast<float>(2 * (word >> 12 & 7) + 1);
    const float delta = (word & 0x8000) != 0 ? -kDeltaIq1 : kDeltaIq1;
    const unsigned high = word >> p % 4 * 3 & 7;
    put_iq1(scale, kGridIq1S[block[2 + p] | high << 8], delta, out + p * 8);
  }
}

// 32 bytes of points; 16 bytes of nibbles (3 high bits, the delta's sign); four words of four 3-bit
// scales whose top nibbles together are the f16 d.
void decode_iq1_m(const uint8_t* block, float* out) {
  const uint8_t* scales = block + 48;
  const uint16_t half = iq1_m_half(block);
  const uint8_t half_bytes[2] = {static_cast<uint8_t>(half), static_cast<uint8_t>(half >> 8)};
  const float d = load_f16(half_bytes);
  for (int p = 0; p < 32; p++) {
    const int j = p / 2;  // 16 elements share a scale
    const unsigned code = load_u16(scales + j / 4 * 2) >> j % 4 * 3 & 7u;
    const unsigned nibble = block[32 + p / 2] >> p % 2 * 4 & 15u;
    const float delta = (nibble & 8) != 0 ? -kDeltaIq1 : kDeltaIq1;
    put_iq1(d * static_cast<float>(2 * code + 1), kGridIq1S[block[p] | (nibble & 7) << 8], delta,
            out + p * 8);
  }
}

}  // namespace inferno::kernel
