// Packed panels as plain numbers, one element at a time: the reading of formats.h that the others
// are held to.
#if defined(INFERNO_ISA_PLAIN)
#include "kernel/isa/unpack_plain.h"

#include "kernel/formats.h"
#include "kernel/isa/vec.h"

namespace inferno::kernel::plain {
namespace {

uint16_t word_at(const uint8_t* p) {
  return static_cast<uint16_t>(p[0] | p[1] << 8);
}
float f16_at(const uint8_t* p) {
  return float_of_f16(word_at(p));
}

float scale_at(const uint8_t* p, ScaleType type) {
  if (type == ScaleType::kF16 || type == ScaleType::kF16Zeros) return f16_at(p);
  const uint32_t bits = static_cast<uint32_t>(word_at(p)) << 16;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

// The parts of a code of element k (of 256) of output o.
int nibble_at(const uint8_t* nibbles, int k, int o) {
  return nibbles[k / 8 * 64 + o * 4 + k % 4] >> (k / 4 % 2 * 4) & 15;
}
int pair_at(const uint8_t* pairs, int k, int o) {
  return pairs[k / 16 * 64 + o * 4 + k % 4] >> (k / 4 % 4 * 2) & 3;
}
int bit_at(const uint8_t* bits, int k, int o) {
  const int bit = o * 4 + k % 4;
  return bits[k / 4 * 8 + bit / 8] >> (bit % 8) & 1;
}

int group_code(const PackedMatrix& w, const uint8_t* unit, int k, int o) {
  const int group = k / 32 % 2;
  if (w.format == PackedFormat::kQ8) {
    const uint8_t* codes = unit + group * layout::kQ8GroupBytes;
    return codes[k % 32 / 4 * 64 + o * 4 + k % 4] - w.zero_point;
  }
  const int nibble = nibble_at(unit + group * layout::kQ4GroupBytes, k % 32, o);
  if (w.codebook != nullptr) return w.codebook[nibble];
  if (w.format == PackedFormat::kQ4) return nibble - w.zero_point;
  return nibble + 16 * bit_at(unit + layout::kQ5BitsOffset + group * 64, k % 32, o) - w.zero_point;
}

int group_scales_offset(const PackedMatrix& w) {
  if (w.format == PackedFormat::kQ8) return layout::kQ8ScalesOffset;
  return w.format == PackedFormat::kQ5 ? layout::kQ5ScalesOffset : layout::kQ4ScalesOffset;
}
int scale_rows(const PackedMatrix& w) {
  return w.has_minimum ? 4 : 2;
}

void unpack_groups(const PackedMatrix& w, const uint8_t* bytes, int count, UnpackedStretch* out) {
  const int scales_offset = group_scales_offset(w);
  const int unit_bytes = scales_offset + scale_rows(w) * layout::kScaleRowBytes;
  for (int k = 0; k < count; ++k) {
    const uint8_t* unit = bytes + k / 64 * unit_bytes;
    const uint8_t* scales = unit + scales_offset + k / 32 % 2 * layout::kScaleRowBytes;
    for (int o = 0; o < 16; ++o) {
      out->value[k][o] = static_cast<int16_t>(group_code(w, unit, k, o));
      if (k % 32 != 0) continue;
      out->scale[k / 32][o] = scale_at(scales + 2 * o, w.scale_type);
      if (w.has_minimum) {
        const uint8_t* minima = scales + 2 * layout::kScaleRowBytes;
        out->minimum[k / 32][o] = scale_at(minima + 2 * o, w.scale_type);
        if (w.scale_type >= ScaleType::kF16Zeros) out->minimum[k / 32][o] *= out->scale[k / 32][o];
      }
    }
  }
}

layout::SuperBlockLayout layout_of(PackedFormat format) {
  switch (format) {
    case PackedFormat::kQ2K:
      return layout::kQ2K;
    case PackedFormat::kQ3K:
      return layout::kQ3K;
    case PackedFormat::kQ4K:
      return layout::kQ4K;
    case PackedFormat::kQ5K:
      return layout::kQ5K;
    case PackedFormat::kQ6K:
      return layout::kQ6K;
    case PackedFormat::kCodebook4KFine:
      return layout::kCodebook4KFine;
    case PackedFormat::kTernaryK:
      return layout::kTernaryK;
    default:
      return layout::kCodebook4K;
  }
}

int super_block_code(const PackedMatrix& w, const uint8_t* block, int k, int o) {
  const layout::SuperBlockLayout at = layout_of(w.format);
  switch (w.format) {
    case PackedFormat::kQ2K:
      return pair_at(block, k, o);
    case PackedFormat::kTernaryK:
      return pair_at(block, k, o) - w.zero_point;
    case PackedFormat::kQ3K:
      return pair_at(block, k, o) + 4 * bit_at(block + at.bits, k, o) - w.zero_point;
    case PackedFormat::kQ4K:
      return nibble_at(block, k, o);
    case PackedFormat::kQ5K:
      return nibble_at(block, k, o) + 16 * bit_at(block + at.bits, k, o);
    case PackedFormat::kQ6K:
      return nibble_at(block, k, o) + 16 * pair_at(block + at.pairs, k, o) - w.zero_point;
    default:
      return w.codebook[nibble_at(block, k, o)];
  }
}

void unpack_sub_scales(const PackedMatrix& w, const uint8_t* block, int sub, int o,
                       UnpackedStretch* out) {
  const layout::SuperBlockLayout at = layout_of(w.format);
  const uint8_t* scales = block + at.sub_scales;
  const int paired = sub / 2 * 32 + o * 2 + sub % 2;
  int scale = 1;
  int minimum = 0;
  if (w.format == PackedFormat::kTernaryK) {
    // 1, 0
  } else if (w.format == PackedFormat::kQ2K) {
    scale = scales[paired] & 15;
    minimum = scales[paired] >> 4;
  } else if (w.has_minimum) {
    scale = scales[sub * 16 + o];
    minimum = block[at.minima + paired];
  } else {
    scale = static_cast<int8_t>(scales[sub * 16 + o]);
  }
  out->sub_scale[sub][o] = static_cast<int16_t>(scale);
  out->sub_minimum[sub][o] = static_cast<int16_t>(minimum);
}

void unpack_super_block(const PackedMatrix& w, const uint8_t* block, UnpackedStretch* out) {
  const layout::SuperBlockLayout at = layout_of(w.format);
  for (int o = 0; o < 16; ++o) {
    for (int k = 0; k < 256; ++k) {
      out->value[k][o] = static_cast<int16_t>(super_block_code(w, block, k, o));
    }
    for (int sub = 0; sub < 256 / out->sub_elements; ++sub) {
      unpack_sub_scales(w, block, sub, o, out);
    }
    if (w.codebook != nullptr) {
      __builtin_memcpy(&out->scale[0][o], block + at.d + 4 * o, 4);
    } else {
      out->scale[0][o] = f16_at(block + at.d + 2 * o);
    }
    if (w.has_minimum) out->minimum[0][o] = f16_at(block + at.dmin + 2 * o);
  }
}

}  // namespace

void unpack_stretch(const PackedMatrix& w, int panel, int stretch, UnpackedStretch* out) {
  *out = {};
  const uint8_t* bytes = w.data + static_cast<size_t>(panel) * w.panel_bytes;
  if (w.format <= PackedFormat::kQ8) {
    out->sub_elements = 32;
    const int unit_bytes = group_scales_offset(w) + scale_rows(w) * layout::kScaleRowBytes;
    const int left = w.k - stretch * 256;
    const uint8_t* units =
        bytes + static_cast<size_t>(stretch) * 4 * static_cast<size_t>(unit_bytes);
    return unpack_groups(w, units, left < 256 ? left : 256, out);
  }
  const layout::SuperBlockLayout at = layout_of(w.format);
  out->sub_elements = at.sub_elements;
  unpack_super_block(w, bytes + static_cast<size_t>(stretch) * static_cast<size_t>(at.bytes), out);
}

}  // namespace inferno::kernel::plain
#endif
