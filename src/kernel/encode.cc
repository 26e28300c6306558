#include "kernel/encode.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernel/dequantize_formats.h"

namespace inferno::kernel {
namespace {

constexpr int kGroup = 32;
constexpr int kGroups = 8;  // of a super-block
constexpr float kLargestF16 = 65504.0f;

// What is added and subtracted to round a float below 2^22 to the nearest whole number, to even
// between two.
constexpr float kRounder = 12582912.0f;

// Spans of the codes that the search tries: the range of the values is taken to be 15 + step / 4
// codes wide. A narrower one clips the outliers, which is often the smaller error.
constexpr int kFirstSpan = -5;
constexpr int kLastSpan = 5;

float nearest(float value) {
  return (value + kRounder) - kRounder;
}

void put_u16(uint8_t* to, uint16_t value) {
  to[0] = static_cast<uint8_t>(value);
  to[1] = static_cast<uint8_t>(value >> 8);
}

float rounded_to_f16(float value) {
  uint8_t bytes[2];
  put_u16(bytes, f16_of(value));
  return load_f16(bytes);
}

// Copies finite values; the others are 0.
void copy_sane(const float* values, int count, float* out) {
  for (int i = 0; i < count; ++i) {
    out[i] = std::isfinite(values[i]) ? std::clamp(values[i], -kLargestF16, kLargestF16) : 0.0f;
  }
}

void encode_f16(const float* value, uint8_t* out) {
  float sane = 0.0f;
  copy_sane(value, 1, &sane);
  put_u16(out, f16_of(sane));
}

// Codes of 4 bits: value = scale * code - minimum, scale and minimum not negative.
struct Line {
  float scale = 0.0f;
  float minimum = 0.0f;
};

struct Sums {
  float code = 0.0f, code_code = 0.0f, value_code = 0.0f;
};

// Four floats at a time: what every x86-64 CPU and, with other instructions, every other one has.
using Four = float __attribute__((vector_size(16)));

Four four_at(const float* x) {
  Four four;
  memcpy(&four, x, sizeof four);
  return four;
}

float sum_of(Four four) {
  return (four[0] + four[1]) + (four[2] + four[3]);
}

// Sums over the codes clamp(round(factor * (x + minimum))) of 32 values.
Sums sums_of(const float* x, float factor, float minimum) {
  const Four zero = {}, most = zero + 15.0f, rounder = zero + kRounder;
  Four code = zero, code_code = zero, value_code = zero;
  for (int i = 0; i < kGroup; i += 4) {
    const Four value = four_at(x + i);
    Four c = (factor * (value + minimum) + rounder) - rounder;
    c = c > zero ? c : zero;
    c = c < most ? c : most;
    code += c;
    code_code += c * c;
    value_code += value * c;
  }
  return {sum_of(code), sum_of(code_code), sum_of(value_code)};
}

// The line with the least squared error for codes with these sums, and how much less than the sum
// of squares of the values its error is. The line passes at or below zero, as Q4_K's minima must;
// where the best one does not, the best through zero.
struct Fit {
  Line line;
  float gain = 0.0f;
};

Fit fit_of(const Sums& s, float value_sum) {
  Fit fit;
  const float determinant = static_cast<float>(kGroup) * s.code_code - s.code * s.code;
  if (determinant > 0.0f) {
    const float scale =
        (static_cast<float>(kGroup) * s.value_code - value_sum * s.code) / determinant;
    const float offset = (s.code_code * value_sum - s.code * s.value_code) / determinant;
    if (scale > 0.0f && offset <= 0.0f) {
      fit.line = {scale, -offset};
      fit.gain = scale * s.value_code + offset * value_sum;
      return fit;
    }
  }
  if (s.code_code > 0.0f && s.value_code > 0.0f) {
    const float scale = s.value_code / s.code_code;
    fit = {{scale, 0.0f}, scale * s.value_code};
  }
  return fit;
}

// The line for 32 values. All negative values alike need no scale: the minimum alone is exact.
Line search(const float* x) {
  float least = 0.0f, most = x[0], sum = 0.0f;
  for (int i = 0; i < kGroup; ++i) {
    least = std::min(least, x[i]);
    most = std::max(most, x[i]);
    sum += x[i];
  }
  const float range = most - least;
  if (range <= 0.0f) return {0.0f, -least};
  Fit best{{range / 15.0f, -least}, -INFINITY};
  for (int span = kFirstSpan; span <= kLastSpan; ++span) {
    const float factor = (15.0f + static_cast<float>(span) * 0.25f) / range;
    if (!std::isfinite(factor)) break;
    const Fit fit = fit_of(sums_of(x, factor, -least), sum);
    if (fit.gain > best.gain) best = fit;
  }
  // Of values near 65504 the best line may lie outside float16.
  return {std::min(best.line.scale, kLargestF16), std::min(best.line.minimum, kLargestF16)};
}

// The nearest codes of 32 values on a line.
void put_codes(const float* x, const Line& line, uint8_t* code) {
  const float factor = line.scale > 0.0f ? 1.0f / line.scale : 0.0f;
  for (int i = 0; i < kGroup; ++i) {
    const float c = std::isfinite(factor) ? factor * (x[i] + line.minimum) : 0.0f;
    code[i] = static_cast<uint8_t>(nearest(std::clamp(c, 0.0f, 15.0f)));
  }
}

void encode_q8_0(const float* values, uint8_t* out) {
  float x[kGroup];
  copy_sane(values, kGroup, x);
  float largest = 0.0f;
  for (const float value : x)
    largest = std::max(largest, std::fabs(value));
  const uint16_t half = f16_of(largest / 127.0f);
  put_u16(out, half);
  const float d = load_f16(out);
  const float factor = d > 0.0f ? 1.0f / d : 0.0f;
  for (int i = 0; i < kGroup; ++i) {
    const float code = nearest(std::clamp(x[i] * factor, -127.0f, 127.0f));
    out[2 + i] = static_cast<uint8_t>(static_cast<int>(code));
  }
}

void encode_q4_1(const float* values, uint8_t* out) {
  float x[kGroup];
  uint8_t code[kGroup];
  copy_sane(values, kGroup, x);
  const Line found = search(x);
  const Line line = {rounded_to_f16(found.scale), rounded_to_f16(found.minimum)};
  put_u16(out, f16_of(line.scale));
  put_u16(out + 2, f16_of(-line.minimum));
  put_codes(x, line, code);
  for (int i = 0; i < 16; ++i) {
    out[4 + i] = static_cast<uint8_t>(code[i] | code[i + 16] << 4);
  }
}

// The 6-bit scales and minima of Q4_K: the last four have their high 2 bits apart.
void put_packed_scales(const int (&scale)[kGroups], const int (&minimum)[kGroups], uint8_t* to) {
  for (int i = 0; i < 4; ++i) {
    to[i] = static_cast<uint8_t>(scale[i] | scale[i + 4] >> 4 << 6);
    to[i + 4] = static_cast<uint8_t>(minimum[i] | minimum[i + 4] >> 4 << 6);
    to[i + 8] = static_cast<uint8_t>((scale[i + 4] & 15) | (minimum[i + 4] & 15) << 4);
  }
}

int steps_of(float value, float step) {
  return step > 0.0f ? static_cast<int>(nearest(std::min(value / step, 63.0f))) : 0;
}

void encode_q4_k(const float* values, uint8_t* out) {
  float x[kGroups * kGroup];
  copy_sane(values, kGroups * kGroup, x);
  Line lines[kGroups];
  Line largest;
  for (int g = 0; g < kGroups; ++g) {
    lines[g] = search(x + g * kGroup);
    largest.scale = std::max(largest.scale, lines[g].scale);
    largest.minimum = std::max(largest.minimum, lines[g].minimum);
  }
  put_u16(out, f16_of(largest.scale / 63.0f));
  put_u16(out + 2, f16_of(largest.minimum / 63.0f));
  const float d = load_f16(out);
  const float dmin = load_f16(out + 2);
  int scale[kGroups], minimum[kGroups];
  uint8_t code[kGroups * kGroup];
  for (int g = 0; g < kGroups; ++g) {
    scale[g] = steps_of(lines[g].scale, d);
    minimum[g] = steps_of(lines[g].minimum, dmin);
    put_codes(x + g * kGroup,
              {d * static_cast<float>(scale[g]), dmin * static_cast<float>(minimum[g])},
              code + g * kGroup);
  }
  put_packed_scales(scale, minimum, out + 4);
  for (int part = 0; part < 4; ++part) {
    for (int i = 0; i < kGroup; ++i) {
      out[16 + part * 32 + i] =
          static_cast<uint8_t>(code[part * 64 + i] | code[part * 64 + 32 + i] << 4);
    }
  }
}

}  // namespace

uint16_t f16_of(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00);   // NaN
  if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);  // rounds past 65504
  if (magnitude < 0x38800000) {  // below 2^-14: a multiple of 2^-24
    const float scaled = std::bit_cast<float>(magnitude) * 0x1p24f;
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(nearest(scaled)));
  }
  const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return static_cast<uint16_t>(sign | ((rounded >> 13) - ((127 - 15) << 10)));
}

uint16_t bf16_of(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

bool encode(TensorType type, const float* values, size_t count, uint8_t* out) {
  void (*encode_block)(const float*, uint8_t*) = nullptr;
  if (type == TensorType::kF16) encode_block = encode_f16;
  if (type == TensorType::kQ8_0) encode_block = encode_q8_0;
  if (type == TensorType::kQ4_1) encode_block = encode_q4_1;
  if (type == TensorType::kQ4_K) encode_block = encode_q4_k;
  const BlockShape shape = block_shape(type);
  if (encode_block == nullptr || count % shape.elements != 0) return false;
  for (size_t done = 0; done < count; done += shape.elements, out += shape.bytes) {
    encode_block(values + done, out);
  }
  return true;
}

}  // namespace inferno::kernel
