// Readers of the formats whose blocks hold points of a grid or base-3 digits: IQ1, IQ2, IQ3, TQ1_0,
// TQ2_0.
//
// A point's levels and signs together are at most sixteen different integers, so each element
// becomes a 4-bit code (kBookIq...: three bits choose the level, bit 3 the sign), and the scales
// become odd integers: IQ2 and IQ3_XXS say d * (0.5 + s) / 4 and / 2, which is d / 8 and d / 4
// times (2 s + 1); IQ1's levels are moved by an eighth, so d / 8 times whole numbers. Halving is
// exact in float32, hence no value changes. At 4.4 to 4.6 bits a weight that takes more room than
// the file, and the matrix product needs no grids.
//
// Sources of the layouts: as in dequantize_iq.cc and dequantize_levels.cc.
#include "kernel/dequantize_formats.h"
#include "kernel/dequantize_grids.h"
#include "kernel/pack_read.h"

namespace inferno::kernel {

const int8_t kBookIq1[16] = {-7, 1, 9, 0, 0, 0, 0, 0, -9, -1, 7, 0, 0, 0, 0, 0};
const int8_t kBookIq2[16] = {8, 25, 43, 0, 0, 0, 0, 0, -8, -25, -43, 0, 0, 0, 0, 0};
const int8_t kBookIq3Xxs[16] = {4,  12,  20,  28,  36,  44,  52,  62,
                                -4, -12, -20, -28, -36, -44, -52, -62};
const int8_t kBookIq3S[16] = {1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15};

namespace {

uint8_t odd(unsigned scale) {
  return static_cast<uint8_t>(2 * scale + 1);
}

uint8_t code_of(unsigned level, int signs, int i) {
  return static_cast<uint8_t>(level | static_cast<unsigned>(signs >> i & 1) << 3);
}

// Eight elements of two bits each.
void put_point(unsigned point, int signs, uint8_t* code) {
  for (int i = 0; i < 8; ++i) {
    code[i] = code_of(point >> 2 * i & 3, signs, i);
  }
}

// Four elements of four bits each.
void put_half_point(unsigned point, int signs, uint8_t* code) {
  for (int i = 0; i < 4; ++i) {
    code[i] = code_of(point >> 4 * i & 7, signs, i);
  }
}

void read_iq2_xxs(const uint8_t* block, int output, int, StagedStretch& out) {
  out.d[output] = load_f16(block) * 0.125f;
  for (int j = 0; j < 8; ++j) {
    const uint8_t* points = block + 2 + j * 8;
    const uint32_t word = load_u32(points + 4);
    out.sub_scale[j][output] = odd(word >> 28);
    for (int p = 0; p < 4; ++p) {
      put_point(kGridIq2Xxs[points[p]], signs_of(word >> 7 * p), out.code[output] + j * 32 + p * 8);
    }
  }
}

// IQ2_XS and IQ2_S: eight bytes of two 4-bit scales, each for 16 elements.
void read_iq2_scales(const uint8_t* scales, int output, StagedStretch& out) {
  for (int sub = 0; sub < 16; ++sub) {
    out.sub_scale[sub][output] = odd(scales[sub / 2] >> sub % 2 * 4 & 15u);
  }
}

void read_iq2_xs(const uint8_t* block, int output, int, StagedStretch& out) {
  out.d[output] = load_f16(block) * 0.125f;
  read_iq2_scales(block + 66, output, out);
  for (int p = 0; p < 32; ++p) {
    const unsigned word = load_u16(block + 2 + p * 2);
    put_point(kGridIq2Xs[word & 511], signs_of(word >> 9), out.code[output] + p * 8);
  }
}

void read_iq2_s(const uint8_t* block, int output, int, StagedStretch& out) {
  out.d[output] = load_f16(block) * 0.125f;
  read_iq2_scales(block + 74, output, out);
  for (int p = 0; p < 32; ++p) {
    const unsigned high = block[66 + p / 4] >> p % 4 * 2 & 3u;
    put_point(kGridIq2S[block[2 + p] | high << 8], block[34 + p], out.code[output] + p * 8);
  }
}

void read_iq3_xxs(const uint8_t* block, int output, int, StagedStretch& out) {
  out.d[output] = load_f16(block) * 0.25f;
  for (int j = 0; j < 8; ++j) {
    const uint32_t word = load_u32(block + 66 + j * 4);
    out.sub_scale[j][output] = odd(word >> 28);
    for (int p = 0; p < 8; ++p) {
      const int signs = signs_of(word >> 7 * (p / 2)) >> p % 2 * 4;
      put_half_point(kGridIq3Xxs[block[2 + j * 8 + p]], signs, out.code[output] + j * 32 + p * 4);
    }
  }
}

void read_iq3_s(const uint8_t* block, int output, int, StagedStretch& out) {
  out.d[output] = load_f16(block);
  for (int j = 0; j < 8; ++j) {
    out.sub_scale[j][output] = odd(block[106 + j / 2] >> j % 2 * 4 & 15u);
  }
  for (int p = 0; p < 64; ++p) {
    const unsigned high = block[66 + p / 8] >> p % 8 & 1u;
    const int signs = block[74 + p / 2] >> p % 2 * 4;
    put_half_point(kGridIq3S[block[2 + p] | high << 8], signs, out.code[output] + p * 4);
  }
}

void read_iq1_s(const uint8_t* block, int output, int, StagedStretch& out) {
  out.d[output] = load_f16(block) * 0.125f;
  for (int j = 0; j < 8; ++j) {
    const unsigned word = load_u16(block + 34 + j * 2);
    out.sub_scale[j][output] = odd(word >> 12 & 7);
    const int signs = (word & 0x8000) != 0 ? 255 : 0;
    for (int p = 0; p < 4; ++p) {
      const unsigned high = word >> p * 3 & 7;
      put_point(kGridIq1S[block[2 + j * 4 + p] | high << 8], signs,
                out.code[output] + j * 32 + p * 8);
    }
  }
}

void read_iq1_m(const uint8_t* block, int output, int, StagedStretch& out) {
  const uint16_t half = iq1_m_half(block);
  const uint8_t half_bytes[2] = {static_cast<uint8_t>(half), static_cast<uint8_t>(half >> 8)};
  out.d[output] = load_f16(half_bytes) * 0.125f;
  for (int sub = 0; sub < 16; ++sub) {
    out.sub_scale[sub][output] = odd(load_u16(block + 48 + sub / 4 * 2) >> sub % 4 * 3 & 7u);
  }
  for (int p = 0; p < 32; ++p) {
    const unsigned nibble = block[32 + p / 2] >> p % 2 * 4 & 15u;
    put_point(kGridIq1S[block[p] | (nibble & 7) << 8], (nibble & 8) != 0 ? 255 : 0,
              out.code[output] + p * 8);
  }
}

// Digits of a byte: dequantize_levels.cc says how they are read.
void read_tq1_0(const uint8_t* block, int output, int, StagedStretch& out) {
  struct Part {
    int first_byte, byte_count, digit_count;
  };
  constexpr Part kParts[] = {{0, 32, 5}, {32, 16, 5}, {48, 4, 4}};
  out.scale[0][output] = load_u16(block + 52);
  uint8_t* code = out.code[output];
  for (const Part& part : kParts) {
    unsigned power = 1;
    for (int digit = 0; digit < part.digit_count; ++digit, power *= 3) {
      for (int i = 0; i < part.byte_count; ++i) {
        const unsigned rest = block[part.first_byte + i] * power & 255;
        *code++ = static_cast<uint8_t>(rest * 3 >> 8);
      }
    }
  }
}

void read_tq2_0(const uint8_t* block, int output, int, StagedStretch& out) {
  out.scale[0][output] = load_u16(block + 64);
  for (int i = 0; i < 256; ++i) {
    out.code[output][i] = block[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
  }
}

}  // namespace

BlockReader iq_block_reader(TensorType type) {
  switch (type) {
    case TensorType::kIQ1_S:
      return read_iq1_s;
    case TensorType::kIQ1_M:
      return read_iq1_m;
    case TensorType::kIQ2_XXS:
      return read_iq2_xxs;
    case TensorType::kIQ2_XS:
      return read_iq2_xs;
    case TensorType::kIQ2_S:
      return read_iq2_s;
    case TensorType::kIQ3_XXS:
      return read_iq3_xxs;
    case TensorType::kIQ3_S:
      return read_iq3_s;
    case TensorType::kTQ1_0:
      return read_tq1_0;
    case TensorType::kTQ2_0:
      return read_tq2_0;
    default:
      return nullptr;
  }
}

}  // namespace inferno::kernel
