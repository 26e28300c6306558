// How one block of each quantized GGUF type becomes floats: the parts of dequantize(), one family a
// file.
//
// A decoder reads one block (block_shape() bytes, any alignment, little-endian) and writes its
// elements in order. Every bit pattern decodes to something; none reads outside its block or its
// tables. The values are those of ggml's reference code to the last bit: each is d * scale * q,
// exact before the last rounding, or (d * scale) * q - dmin * minimum with one rounding per
// operation.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace inferno::kernel {

using BlockDecoder = void (*)(const uint8_t* block, float* out);

// The float16 or bfloat16 stored at `bytes`. Exact, subnormals included; a NaN stays a NaN.
float load_f16(const uint8_t* bytes);
float load_bf16(const uint8_t* bytes);

// The number stored little-endian at `bytes`.
uint16_t load_u16(const uint8_t* bytes);
uint32_t load_u32(const uint8_t* bytes);

// The 16 values that the codes of IQ4_NL and IQ4_XS stand for, and twice those of MXFP4 and NVFP4
// (e2m1).
extern const int8_t kLevelsIq4[16];
extern const int8_t kLevelsE2m1[16];

// The 16 levels that the codes of packed IQ matrices stand for: a point's level, negated where bit
// 3 is set; for IQ1, the level of the grid times 8, plus 1 where bit 3 is clear and minus 1 where
// it is set.
extern const int8_t kBookIq1[16];
extern const int8_t kBookIq2[16];
extern const int8_t kBookIq3Xxs[16];
extern const int8_t kBookIq3S[16];

// The eight signs (bit i set: element i is negative) that seven stored bits stand for: the eighth
// makes the number of minus signs even.
int signs_of(uint32_t seven_bits);

// The float16 bits of d of an IQ1_M block, which lie in four places.
uint16_t iq1_m_half(const uint8_t* block);

// Blocks of 32 (dequantize.cc).
void decode_q4_0(const uint8_t* block, float* out);
void decode_q4_1(const uint8_t* block, float* out);
void decode_q5_0(const uint8_t* block, float* out);
void decode_q5_1(const uint8_t* block, float* out);
void decode_q8_0(const uint8_t* block, float* out);

// Super-blocks of 256 with integer sub-scales (dequantize_k.cc).
void decode_q2_k(const uint8_t* block, float* out);
void decode_q3_k(const uint8_t* block, float* out);
void decode_q4_k(const uint8_t* block, float* out);
void decode_q5_k(const uint8_t* block, float* out);
void decode_q6_k(const uint8_t* block, float* out);
void decode_q8_k(const uint8_t* block, float* out);

// Codebooks (dequantize_iq.cc).
void decode_iq1_s(const uint8_t* block, float* out);
void decode_iq1_m(const uint8_t* block, float* out);
void decode_iq2_xxs(const uint8_t* block, float* out);
void decode_iq2_xs(const uint8_t* block, float* out);
void decode_iq2_s(const uint8_t* block, float* out);
void decode_iq3_xxs(const uint8_t* block, float* out);
void decode_iq3_s(const uint8_t* block, float* out);

// Sixteen levels, and ternary (dequantize_levels.cc).
void decode_iq4_nl(const uint8_t* block, float* out);
void decode_iq4_xs(const uint8_t* block, float* out);
void decode_mxfp4(const uint8_t* block, float* out);
void decode_nvfp4(const uint8_t* block, float* out);
void decode_tq1_0(const uint8_t* block, float* out);
void decode_tq2_0(const uint8_t* block, float* out);

}  // namespace inferno::kernel
