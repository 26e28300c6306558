// dequantize(): which decoder a type has, the plain floats, and the blocks of 32 with one float16
// scale.
//
// Stateless, any thread. Scalar code: it runs when a model is loaded and when an embedding is
// looked up, never inside a matrix product.
#include <bit>
#include <cstring>

#include "kernel/dequantize_formats.h"
#include "kernel/kernels.h"

namespace inferno::kernel {
namespace {

void decode_f32(const uint8_t* block, float* out) {
  memcpy(out, block, sizeof(float));
}
void decode_f16(const uint8_t* block, float* out) {
  *out = load_f16(block);
}
void decode_bf16(const uint8_t* block, float* out) {
  *out = load_bf16(block);
}

void decode_f64(const uint8_t* block, float* out) {
  double value;
  memcpy(&value, block, sizeof value);
  *out = static_cast<float>(value);
}

// Null: the type has no float meaning (integers, Q8_1) or none that is known here.
BlockDecoder decoder_of(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return decode_f32;
    case TensorType::kF16:
      return decode_f16;
    case TensorType::kBF16:
      return decode_bf16;
    case TensorType::kF64:
      return decode_f64;
    case TensorType::kQ4_0:
      return decode_q4_0;
    case TensorType::kQ4_1:
      return decode_q4_1;
    case TensorType::kQ5_0:
      return decode_q5_0;
    case TensorType::kQ5_1:
      return decode_q5_1;
    case TensorType::kQ8_0:
      return decode_q8_0;
    case TensorType::kQ2_K:
      return decode_q2_k;
    case TensorType::kQ3_K:
      return decode_q3_k;
    case TensorType::kQ4_K:
      return decode_q4_k;
    case TensorType::kQ5_K:
      return decode_q5_k;
    case TensorType::kQ6_K:
      return decode_q6_k;
    case TensorType::kQ8_K:
      return decode_q8_k;
    case TensorType::kIQ1_S:
      return decode_iq1_s;
    case TensorType::kIQ1_M:
      return decode_iq1_m;
    case TensorType::kIQ2_XXS:
      return decode_iq2_xxs;
    case TensorType::kIQ2_XS:
      return decode_iq2_xs;
    case TensorType::kIQ2_S:
      return decode_iq2_s;
    case TensorType::kIQ3_XXS:
      return decode_iq3_xxs;
    case TensorType::kIQ3_S:
      return decode_iq3_s;
    case TensorType::kIQ4_NL:
      return decode_iq4_nl;
    case TensorType::kIQ4_XS:
      return decode_iq4_xs;
    case TensorType::kMXFP4:
      return decode_mxfp4;
    case TensorType::kNVFP4:
      return decode_nvfp4;
    case TensorType::kTQ1_0:
      return decode_tq1_0;
    case TensorType::kTQ2_0:
      return decode_tq2_0;
    default:
      return nullptr;
  }
}

// Codes of a block of 32 in 16 bytes: the low nibbles are elements 0..15, the high ones 16..31.
int nibble_of_32(const uint8_t* codes, int i) {
  return i < 16 ? codes[i] & 15 : codes[i - 16] >> 4;
}

int fifth_bit(uint32_t high_bits, int i) {
  return static_cast<int>((high_bits >> i) & 1) << 4;
}

}  // namespace

uint16_t load_u16(const uint8_t* bytes) {
  return static_cast<uint16_t>(bytes[0] | bytes[1] << 8);
}

uint32_t load_u32(const uint8_t* bytes) {
  return load_u16(bytes) | static_cast<uint32_t>(load_u16(bytes + 2)) << 16;
}

float load_bf16(const uint8_t* bytes) {
  return std::bit_cast<float>(static_cast<uint32_t>(load_u16(bytes)) << 16);
}

float load_f16(const uint8_t* bytes) {
  const uint32_t half = load_u16(bytes);
  const uint32_t sign = (half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7fff;
  if (magnitude >= 0x7c00) {  // infinity or NaN
    return std::bit_cast<float>(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  }
  if (magnitude < 0x400) {  // subnormal: a multiple of 2^-24
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + ((127 - 15) << 23)));
}

void decode_q4_0(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int i = 0; i < 32; i++)
    out[i] = d * static_cast<float>(nibble_of_32(block + 2, i) - 8);
}

void decode_q4_1(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  const float minimum = load_f16(block + 2);
  for (int i = 0; i < 32; i++) {
    out[i] = d * static_cast<float>(nibble_of_32(block + 4, i)) + minimum;
  }
}

void decode_q5_0(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  const uint32_t high = load_u32(block + 2);
  for (int i = 0; i < 32; i++) {
    out[i] = d * static_cast<float>((nibble_of_32(block + 6, i) | fifth_bit(high, i)) - 16);
  }
}

void decode_q5_1(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  const float minimum = load_f16(block + 2);
  const uint32_t high = load_u32(block + 4);
  for (int i = 0; i < 32; i++) {
    out[i] = d * static_cast<float>(nibble_of_32(block + 8, i) | fifth_bit(high, i)) + minimum;
  }
}

void decode_q8_0(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int i = 0; i < 32; i++) {
    out[i] = d * static_cast<float>(static_cast<int8_t>(block[2 + i]));
  }
}

bool dequantize(TensorType type, const uint8_t* data, size_t count, float* out) {
  const BlockDecoder decode = decoder_of(type);
  if (decode == nullptr) return false;
  const BlockShape shape = block_shape(type);
  if (count % shape.elements != 0) return false;
  for (size_t done = 0; done < count; done += shape.elements) {
    decode(data, out + done);
    data += shape.bytes;
  }
  return true;
}

}  // namespace inferno::kernel
