// Formats whose codes choose one of sixteen fixed levels (IQ4_NL, IQ4_XS, MXFP4, NVFP4) or of three
// (TQ1_0, TQ2_0).
//
// Sources: ggml/src/ggml-common.h of llama.cpp; OCP Microscaling Formats (MX) v1.0 for e2m1 and
// e8m0; e4m3 as in "FP8 Formats for Deep Learning" (Micikevicius et al., 2022), here without its
// sign.
#include <bit>
#include <cmath>

#include "kernel/dequantize_formats.h"

namespace inferno::kernel {
namespace {

// 2^(exponent - 128): half of what the e8m0 byte means, since kLevelsE2m1 are doubled.
float half_of_e8m0(uint8_t exponent) {
  if (exponent < 2) return std::bit_cast<float>(0x00200000u << exponent);  // subnormal
  return std::bit_cast<float>(static_cast<uint32_t>(exponent - 1) << 23);
}

// Half of what the unsigned e4m3 byte means; 0x7f is its NaN and counts as 0, as in ggml.
float half_of_ue4m3(uint8_t byte) {
  if (byte == 0x7f) return 0.0f;
  const int exponent = byte >> 3 & 15;
  const int mantissa = byte & 7;
  if (exponent == 0) return std::ldexp(static_cast<float>(mantissa), -10);
  return std::ldexp(static_cast<float>(8 + mantissa), exponent - 11);
}

}  // namespace

const int8_t kLevelsIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                               1,    13,   25,  38,  53,  69,  89,  113};
const int8_t kLevelsE2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void decode_iq4_nl(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int i = 0; i < 16; i++) {
    out[i] = d * static_cast<float>(kLevelsIq4[block[2 + i] & 15]);
    out[i + 16] = d * static_cast<float>(kLevelsIq4[block[2 + i] >> 4]);
  }
}

// f16 d; the eight scales' high 2 bits; their low 4 bits; per 32 elements 16 bytes of nibbles.
void decode_iq4_xs(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  const unsigned high = load_u16(block + 2);
  for (int j = 0; j < 8; j++) {
    const unsigned low = block[4 + j / 2] >> j % 2 * 4 & 15u;
    const int code = static_cast<int>(low | (high >> 2 * j & 3) << 4) - 32;
    const float scale = d * static_cast<float>(code);
    const uint8_t* from = block + 8 + j * 16;
    for (int i = 0; i < 16; i++) {
      out[j * 32 + i] = scale * static_cast<float>(kLevelsIq4[from[i] & 15]);
      out[j * 32 + i + 16] = scale * static_cast<float>(kLevelsIq4[from[i] >> 4]);
    }
  }
}

void decode_mxfp4(const uint8_t* block, float* out) {
  const float scale = half_of_e8m0(block[0]);
  for (int i = 0; i < 16; i++) {
    out[i] = scale * static_cast<float>(kLevelsE2m1[block[1 + i] & 15]);
    out[i + 16] = scale * static_cast<float>(kLevelsE2m1[block[1 + i] >> 4]);
  }
}

// Four scales, then four times 16 elements in 8 bytes: low nibbles first.
void decode_nvfp4(const uint8_t* block, float* out) {
  for (int j = 0; j < 4; j++) {
    const float scale = half_of_ue4m3(block[j]);
    const uint8_t* from = block + 4 + j * 8;
    for (int i = 0; i < 8; i++) {
      out[j * 16 + i] = scale * static_cast<float>(kLevelsE2m1[from[i] & 15]);
      out[j * 16 + i + 8] = scale * static_cast<float>(kLevelsE2m1[from[i] >> 4]);
    }
  }
}

// A byte is five base-3 digits as a fraction of 256: multiplying by 3^n and keeping the low 8 bits
// brings digit n to the front, times 3 / 256 reads it. 32 bytes hold 160 elements, 16 bytes 80, and
// 4 bytes with four digits each the last 16.
void decode_tq1_0(const uint8_t* block, float* out) {
  struct Part {
    int first_byte, byte_count, digit_count;
  };
  constexpr Part kParts[] = {{0, 32, 5}, {32, 16, 5}, {48, 4, 4}};
  const float d = load_f16(block + 52);
  for (const Part& part : kParts) {
    unsigned power = 1;
    for (int digit = 0; digit < part.digit_count; digit++, power *= 3) {
      for (int i = 0; i < part.byte_count; i++) {
        const unsigned rest = block[part.first_byte + i] * power & 255;
        *out++ = d * static_cast<float>(static_cast<int>(rest * 3 >> 8) - 1);
      }
    }
  }
}

// 64 bytes of four 2-bit codes; 128 elements share 32 bytes; f16 d.
void decode_tq2_0(const uint8_t* block, float* out) {
  const float d = load_f16(block + 64);
  for (int i = 0; i < 256; i++) {
    const int code = block[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
    out[i] = d * static_cast<float>(code - 1);
  }
}

}  // namespace inferno::kernel
