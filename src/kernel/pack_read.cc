#include "kernel/pack_read.h"

#include "kernel/dequantize_formats.h"

namespace inferno::kernel {
namespace {

// 16 bytes of nibbles: elements 0-15 in the low halves, 16-31 in the high halves.
void read_nibbles(const uint8_t* nibbles, uint8_t* code) {
  for (int i = 0; i < 16; ++i) {
    code[i] = nibbles[i] & 15;
    code[i + 16] = nibbles[i] >> 4;
  }
}

void add_fifth_bits(uint32_t bits, uint8_t* code) {
  for (int i = 0; i < 32; ++i) {
    code[i] = static_cast<uint8_t>(code[i] | (bits >> i & 1) << 4);
  }
}

void read_q4_0(const uint8_t* block, int output, int group, StagedStretch& out) {
  out.scale[group][output] = load_u16(block);
  read_nibbles(block + 2, out.code[output] + group * 32);
}

void read_q4_1(const uint8_t* block, int output, int group, StagedStretch& out) {
  out.scale[group][output] = load_u16(block);
  out.minimum[group][output] = load_u16(block + 2);
  read_nibbles(block + 4, out.code[output] + group * 32);
}

void read_q5_0(const uint8_t* block, int output, int group, StagedStretch& out) {
  out.scale[group][output] = load_u16(block);
  read_nibbles(block + 6, out.code[output] + group * 32);
  add_fifth_bits(load_u32(block + 2), out.code[output] + group * 32);
}

void read_q5_1(const uint8_t* block, int output, int group, StagedStretch& out) {
  out.scale[group][output] = load_u16(block);
  out.minimum[group][output] = load_u16(block + 2);
  read_nibbles(block + 8, out.code[output] + group * 32);
  add_fifth_bits(load_u32(block + 4), out.code[output] + group * 32);
}

void read_q8_0(const uint8_t* block, int output, int group, StagedStretch& out) {
  out.scale[group][output] = load_u16(block);
  for (int i = 0; i < 32; ++i) {
    out.code[output][group * 32 + i] = block[2 + i] ^ 0x80;  // int8 + 128
  }
}

// The scale is 2^(e - 128), half of what the byte says because the levels are doubled, as bfloat16:
// its exponent is biased by 127, and the two smallest are subnormal.
void read_mxfp4(const uint8_t* block, int output, int group, StagedStretch& out) {
  const int e = block[0];
  out.scale[group][output] = static_cast<uint16_t>(e >= 2 ? (e - 1) << 7 : 0x20 << e);
  read_nibbles(block + 1, out.code[output] + group * 32);
}

// Q4_K and Q5_K: eight 6-bit scales and minima in 12 bytes; the last four have their high 2 bits
// apart.
void read_packed_scales(const uint8_t* packed, int output, StagedStretch& out) {
  for (int sub = 0; sub < 4; ++sub) {
    const uint8_t scale = packed[sub];
    const uint8_t minimum = packed[sub + 4];
    const uint8_t rest = packed[sub + 8];
    out.sub_scale[sub][output] = scale & 63;
    out.sub_minimum[sub][output] = minimum & 63;
    out.sub_scale[sub + 4][output] = static_cast<uint8_t>((rest & 15) | scale >> 6 << 4);
    out.sub_minimum[sub + 4][output] = static_cast<uint8_t>(rest >> 4 | minimum >> 6 << 4);
  }
}

// 64 k share 32 bytes of nibbles: the first 32 in the low halves.
void read_wide_nibbles(const uint8_t* nibbles, uint8_t* code) {
  for (int part = 0; part < 4; ++part) {
    for (int i = 0; i < 32; ++i) {
      code[part * 64 + i] = nibbles[part * 32 + i] & 15;
      code[part * 64 + 32 + i] = nibbles[part * 32 + i] >> 4;
    }
  }
}

void read_q4_k(const uint8_t* block, int output, int, StagedStretch& out) {
  out.scale[0][output] = load_u16(block);
  out.minimum[0][output] = load_u16(block + 2);
  read_packed_scales(block + 4, output, out);
  read_wide_nibbles(block + 16, out.code[output]);
}

void read_q5_k(const uint8_t* block, int output, int, StagedStretch& out) {
  out.scale[0][output] = load_u16(block);
  out.minimum[0][output] = load_u16(block + 2);
  read_packed_scales(block + 4, output, out);
  uint8_t* code = out.code[output];
  read_wide_nibbles(block + 48, code);
  for (int sub = 0; sub < 8; ++sub) {
    for (int i = 0; i < 32; ++i) {
      const int bit = block[16 + i] >> sub & 1;
      code[sub * 32 + i] = static_cast<uint8_t>(code[sub * 32 + i] | bit << 4);
    }
  }
}

void read_q6_k(const uint8_t* block, int output, int, StagedStretch& out) {
  for (int sub = 0; sub < 16; ++sub) {
    out.sub_scale[sub][output] = block[192 + sub];
  }
  out.scale[0][output] = load_u16(block + 208);
  for (int half = 0; half < 2; ++half) {
    const uint8_t* low = block + half * 64;
    const uint8_t* high = block + 128 + half * 32;
    uint8_t* code = out.code[output] + half * 128;
    for (int i = 0; i < 32; ++i) {
      code[i] = static_cast<uint8_t>((low[i] & 15) | (high[i] & 3) << 4);
      code[i + 32] = static_cast<uint8_t>((low[i + 32] & 15) | (high[i] >> 2 & 3) << 4);
      code[i + 64] = static_cast<uint8_t>(low[i] >> 4 | (high[i] >> 4 & 3) << 4);
      code[i + 96] = static_cast<uint8_t>(low[i + 32] >> 4 | (high[i] >> 6) << 4);
    }
  }
}

// Q2_K and Q3_K: 128 k share 32 bytes; each next 32 k in the next two bits.
void read_pairs(const uint8_t* pairs, uint8_t* code) {
  for (int part = 0; part < 8; ++part) {
    for (int i = 0; i < 32; ++i) {
      code[part * 32 + i] = pairs[part / 4 * 32 + i] >> (part % 4 * 2) & 3;
    }
  }
}

void read_q2_k(const uint8_t* block, int output, int, StagedStretch& out) {
  for (int sub = 0; sub < 16; ++sub) {
    out.sub_scale[sub][output] = block[sub] & 15;
    out.sub_minimum[sub][output] = block[sub] >> 4;
  }
  read_pairs(block + 16, out.code[output]);
  out.scale[0][output] = load_u16(block + 80);
  out.minimum[0][output] = load_u16(block + 82);
}

void read_q3_k(const uint8_t* block, int output, int, StagedStretch& out) {
  uint8_t* code = out.code[output];
  read_pairs(block + 32, code);
  for (int part = 0; part < 8; ++part) {  // a set bit adds 4, which the zero point takes away
    for (int i = 0; i < 32; ++i) {
      const int bit = block[i] >> part & 1;
      code[part * 32 + i] = static_cast<uint8_t>(code[part * 32 + i] | bit << 2);
    }
  }
  const uint8_t* scales = block + 96;
  for (int sub = 0; sub < 16; ++sub) {
    const int low = sub < 8 ? scales[sub] & 15 : scales[sub - 8] >> 4;
    const int high = scales[8 + sub % 4] >> (sub / 4 * 2) & 3;
    out.sub_scale[sub][output] = static_cast<uint8_t>((low | high << 4) - 32);
  }
  out.scale[0][output] = load_u16(block + 108);
}

void read_iq4_xs(const uint8_t* block, int output, int, StagedStretch& out) {
  out.d[output] = load_f16(block);
  const int high_bits = load_u16(block + 2);
  for (int sub = 0; sub < 8; ++sub) {
    const int low = block[4 + sub / 2] >> (sub % 2 * 4) & 15;
    const int high = high_bits >> (2 * sub) & 3;
    out.sub_scale[sub][output] = static_cast<uint8_t>((low | high << 4) - 32);
    read_nibbles(block + 8 + sub * 16, out.code[output] + sub * 32);
  }
}

}  // namespace

BlockReader block_reader(TensorType type) {
  switch (type) {
    case TensorType::kQ4_0:
    case TensorType::kIQ4_NL:
      return read_q4_0;
    case TensorType::kQ4_1:
      return read_q4_1;
    case TensorType::kQ5_0:
      return read_q5_0;
    case TensorType::kQ5_1:
      return read_q5_1;
    case TensorType::kQ8_0:
      return read_q8_0;
    case TensorType::kMXFP4:
      return read_mxfp4;
    case TensorType::kQ2_K:
      return read_q2_k;
    case TensorType::kQ3_K:
      return read_q3_k;
    case TensorType::kQ4_K:
      return read_q4_k;
    case TensorType::kQ5_K:
      return read_q5_k;
    case TensorType::kQ6_K:
      return read_q6_k;
    case TensorType::kIQ4_XS:
      return read_iq4_xs;
    default:
      return iq_block_reader(type);
  }
}

}  // namespace inferno::kernel
