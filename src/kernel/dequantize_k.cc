// The K-quants: super-blocks of 256 elements, sub-blocks of 16 or 32 with integer scales.
//
// Source of the layouts: ggml/src/ggml-common.h (block_q2_K ... block_q8_K) of llama.cpp.
#include "kernel/dequantize_formats.h"

namespace inferno::kernel {
namespace {

struct ScaleAndMinimum {
  int scale;
  int minimum;
};

// Sub-block j of the 12 bytes in which Q4_K and Q5_K pack eight 6-bit scales and eight 6-bit
// minima: sub-blocks 0..3 lie in bytes j and j + 4; the others have their low 4 bits in byte j + 4
// and their high 2 bits on top of the bytes of sub-block j - 4.
ScaleAndMinimum packed_scale(const uint8_t* packed, int j) {
  if (j < 4) return {packed[j] & 63, packed[j + 4] & 63};
  return {(packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4, (packed[j + 4] >> 4) | (packed[j] >> 6)
                                                                                       << 4};
}

// Scale j of the 16 six-bit scales of Q3_K: low 4 bits in bytes 0..7, high 2 bits in bytes 8..11;
// minus 32.
int packed_scale_q3(const uint8_t* packed, int j) {
  const int low = j < 8 ? packed[j] & 15 : packed[j - 8] >> 4;
  const int high = packed[8 + j % 4] >> (j / 4 * 2) & 3;
  return (low | high << 4) - 32;
}

}  // namespace

void decode_q2_k(const uint8_t* block, float* out) {
  const uint8_t* scales = block;
  const uint8_t* codes = block + 16;
  const float d = load_f16(block + 80);
  const float dmin = load_f16(block + 82);
  for (int j = 0; j < 16; j++) {  // 16 elements each; 128 elements share 32 bytes of codes
    const float scale = d * static_cast<float>(scales[j] & 15);
    const float minimum = dmin * static_cast<float>(scales[j] >> 4);
    const uint8_t* from = codes + j / 8 * 32 + j % 2 * 16;
    const int shift = j % 8 / 2 * 2;
    for (int i = 0; i < 16; i++) {
      out[j * 16 + i] = scale * static_cast<float>(from[i] >> shift & 3) - minimum;
    }
  }
}

void decode_q3_k(const uint8_t* block, float* out) {
  const uint8_t* high_bits = block;
  const uint8_t* codes = block + 32;
  const uint8_t* scales = block + 96;
  const float d = load_f16(block + 108);
  for (int j = 0; j < 16; j++) {
    const float scale = d * static_cast<float>(packed_scale_q3(scales, j));
    const uint8_t* from = codes + j / 8 * 32 + j % 2 * 16;
    const uint8_t* high = high_bits + j % 2 * 16;
    const int shift = j % 8 / 2 * 2;
    for (int i = 0; i < 16; i++) {
      const int offset = (high[i] >> (j / 2) & 1) != 0 ? 0 : 4;  // a set bit means no offset
      out[j * 16 + i] = scale * static_cast<float>((from[i] >> shift & 3) - offset);
    }
  }
}

void decode_q4_k(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  const float dmin = load_f16(block + 2);
  for (int j = 0; j < 8; j++) {  // 32 elements each; a pair shares 32 bytes of nibbles
    const ScaleAndMinimum packed = packed_scale(block + 4, j);
    const float scale = d * static_cast<float>(packed.scale);
    const float minimum = dmin * static_cast<float>(packed.minimum);
    const uint8_t* from = block + 16 + j / 2 * 32;
    const int shift = j % 2 * 4;
    for (int i = 0; i < 32; i++) {
      out[j * 32 + i] = scale * static_cast<float>(from[i] >> shift & 15) - minimum;
    }
  }
}

void decode_q5_k(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  const float dmin = load_f16(block + 2);
  const uint8_t* high = block + 16;
  for (int j = 0; j < 8; j++) {
    const ScaleAndMinimum packed = packed_scale(block + 4, j);
    const float scale = d * static_cast<float>(packed.scale);
    const float minimum = dmin * static_cast<float>(packed.minimum);
    const uint8_t* from = block + 48 + j / 2 * 32;
    const int shift = j % 2 * 4;
    for (int i = 0; i < 32; i++) {
      const int code = (from[i] >> shift & 15) | (high[i] >> j & 1) << 4;
      out[j * 32 + i] = scale * static_cast<float>(code) - minimum;
    }
  }
}

void decode_q6_k(const uint8_t* block, float* out) {
  const uint8_t* low_bits = block;
  const uint8_t* high_bits = block + 128;
  const uint8_t* scales = block + 192;
  const float d = load_f16(block + 208);
  for (int j = 0; j < 16; j++) {  // 16 elements each; 128 share 64 bytes of low and 32 of high bits
    const int quarter = j % 8 / 2;
    const float scale = d * static_cast<float>(static_cast<int8_t>(scales[j]));
    const uint8_t* low = low_bits + j / 8 * 64 + quarter % 2 * 32 + j % 2 * 16;
    const uint8_t* high = high_bits + j / 8 * 32 + j % 2 * 16;
    for (int i = 0; i < 16; i++) {
      const int code = (low[i] >> (quarter / 2 * 4) & 15) | (high[i] >> (quarter * 2) & 3) << 4;
      out[j * 16 + i] = scale * static_cast<float>(code - 32);
    }
  }
}

void decode_q8_k(const uint8_t* block, float* out) {
  const uint32_t bits = load_u32(block);
  float d;
  __builtin_memcpy(&d, &bits, sizeof d);
  for (int i = 0; i < 256; i++)
    out[i] = d * static_cast<float>(static_cast<int8_t>(block[4 + i]));
}

}  // namespace inferno::kernel
