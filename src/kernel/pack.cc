// From a file's blocks to panels: each stretch of 256 k of 16 outputs is read into plain codes
// (pack_read.h), then arranged as formats.h says.
#include <string.h>

#include "base/check.h"
#include "kernel/dequantize_formats.h"
#include "kernel/formats.h"
#include "kernel/kernels.h"
#include "kernel/pack_read.h"

namespace inferno::kernel {
namespace {

// Four codes of consecutive k of one output.
uint32_t quad_at(const StagedStretch& from, int output, int k) {
  uint32_t quad;
  memcpy(&quad, from.code[output] + k, 4);
  return quad;
}

struct KRange {
  int begin, end;  // multiples of 16
};

void put_bytes(const StagedStretch& from, KRange range, uint8_t* to) {
  for (int k = range.begin; k < range.end; k += 4) {
    for (int o = 0; o < 16; ++o, to += 4) {
      memcpy(to, from.code[o] + k, 4);
    }
  }
}

void put_nibbles(const StagedStretch& from, KRange range, uint8_t* to) {
  for (int k = range.begin; k < range.end; k += 8) {
    for (int o = 0; o < 16; ++o, to += 4) {
      const uint32_t low = quad_at(from, o, k) & 0x0F0F0F0Fu;
      const uint32_t high = quad_at(from, o, k + 4) & 0x0F0F0F0Fu;
      const uint32_t both = low | high << 4;
      memcpy(to, &both, 4);
    }
  }
}

// Bits `shift` and shift + 1 of every code.
void put_pairs(const StagedStretch& from, int shift, uint8_t* to) {
  for (int k = 0; k < 256; k += 16) {
    for (int o = 0; o < 16; ++o, to += 4) {
      uint32_t four = 0;
      for (int step = 0; step < 4; ++step) {
        four |= (quad_at(from, o, k + 4 * step) >> shift & 0x03030303u) << (2 * step);
      }
      memcpy(to, &four, 4);
    }
  }
}

// Bit `shift` of every code.
void put_bits(const StagedStretch& from, KRange range, int shift, uint8_t* to) {
  for (int k = range.begin; k < range.end; k += 4, to += 8) {
    uint64_t step = 0;
    for (int o = 0; o < 16; ++o) {
      const uint32_t quad = quad_at(from, o, k) >> shift & 0x01010101u;
      const uint64_t four = (quad | quad >> 7 | quad >> 14 | quad >> 21) & 15u;
      step |= four << (4 * o);
    }
    memcpy(to, &step, 8);
  }
}

void put_unit(const StagedStretch& from, const PackedMatrix& shape, int unit, uint8_t* to) {
  const KRange range = {unit * 64, unit * 64 + 64};
  int scales = layout::kQ4ScalesOffset;
  if (shape.format == PackedFormat::kQ8) {
    put_bytes(from, range, to);
    scales = layout::kQ8ScalesOffset;
  } else {
    put_nibbles(from, range, to);
  }
  if (shape.format == PackedFormat::kQ5) {
    put_bits(from, range, 4, to + layout::kQ5BitsOffset);
    scales = layout::kQ5ScalesOffset;
  }
  memcpy(to + scales, from.scale[2 * unit], 2 * layout::kScaleRowBytes);
  if (shape.has_minimum) {
    memcpy(to + scales + 2 * layout::kScaleRowBytes, from.minimum[2 * unit],
           2 * layout::kScaleRowBytes);
  }
}

// [j][16][2]: sub-blocks 2 j and 2 j + 1 of each output side by side.
void put_paired(const uint8_t (&rows)[16][16], int sub_blocks, uint8_t* to) {
  for (int sub = 0; sub < sub_blocks; ++sub) {
    for (int o = 0; o < 16; ++o) {
      to[sub / 2 * 32 + o * 2 + sub % 2] = rows[sub][o];
    }
  }
}

// Sub-scales and d of the formats with a codebook.
void put_codebook_scales(const StagedStretch& from, const layout::SuperBlockLayout& at,
                         uint8_t* to) {
  const int sub_blocks = layout::kSuperBlock / at.sub_elements;
  memcpy(to + at.sub_scales, from.sub_scale, static_cast<size_t>(sub_blocks) * 16);
  memcpy(to + at.d, from.d, sizeof from.d);
}

void put_sub_scales(const StagedStretch& from, const layout::SuperBlockLayout& at, uint8_t* to) {
  const int sub_blocks = layout::kSuperBlock / at.sub_elements;
  memcpy(to + at.sub_scales, from.sub_scale, static_cast<size_t>(sub_blocks) * 16);
  memcpy(to + at.d, from.scale[0], layout::kScaleRowBytes);
  if (at.dmin == 0) return;
  memcpy(to + at.dmin, from.minimum[0], layout::kScaleRowBytes);
  if (at.minima != 0) {
    put_paired(from.sub_minimum, sub_blocks, to + at.minima);
    return;
  }
  uint8_t both[16][16];  // kQ2K
  for (int sub = 0; sub < 16; ++sub) {
    for (int o = 0; o < 16; ++o) {
      both[sub][o] = static_cast<uint8_t>(from.sub_scale[sub][o] | from.sub_minimum[sub][o] << 4);
    }
  }
  put_paired(both, sub_blocks, to + at.sub_scales);
}

void put_super_block(const StagedStretch& from, PackedFormat format, uint8_t* to) {
  const KRange all = {0, layout::kSuperBlock};
  switch (format) {
    case PackedFormat::kQ4K:
      put_nibbles(from, all, to);
      return put_sub_scales(from, layout::kQ4K, to);
    case PackedFormat::kQ5K:
      put_nibbles(from, all, to);
      put_bits(from, all, 4, to + layout::kQ5K.bits);
      return put_sub_scales(from, layout::kQ5K, to);
    case PackedFormat::kQ6K:
      put_nibbles(from, all, to);
      put_pairs(from, 4, to + layout::kQ6K.pairs);
      return put_sub_scales(from, layout::kQ6K, to);
    case PackedFormat::kQ3K:
      put_pairs(from, 0, to);
      put_bits(from, all, 2, to + layout::kQ3K.bits);
      return put_sub_scales(from, layout::kQ3K, to);
    case PackedFormat::kQ2K:
      put_pairs(from, 0, to);
      return put_sub_scales(from, layout::kQ2K, to);
    case PackedFormat::kCodebook4K:
      put_nibbles(from, all, to);
      return put_codebook_scales(from, layout::kCodebook4K, to);
    case PackedFormat::kCodebook4KFine:
      put_nibbles(from, all, to);
      return put_codebook_scales(from, layout::kCodebook4KFine, to);
    case PackedFormat::kTernaryK:
      put_pairs(from, 0, to);
      memcpy(to + layout::kTernaryK.d, from.scale[0], layout::kScaleRowBytes);
      return;
    default:
      CHECK(false, "packed format {} has no super-blocks", static_cast<int>(format));
  }
}

// The rows of a tensor that become one panel.
struct PanelRows {
  const uint8_t* first;
  size_t row_bytes;
  int count;  // 1 to 16
};

void pack_floats(const PanelRows& rows, const PackedMatrix& shape, uint8_t* to) {
  const size_t element = static_cast<size_t>(unit_bytes(shape)) / 16;
  for (size_t k = 0; k < static_cast<size_t>(shape.k); ++k) {
    for (int o = 0; o < rows.count; ++o) {
      memcpy(to + (k * 16 + static_cast<size_t>(o)) * element,
             rows.first + static_cast<size_t>(o) * rows.row_bytes + k * element, element);
    }
  }
}

// Pairs of k side by side; what is beyond k stays zero.
void pack_pairs(const PanelRows& rows, const PackedMatrix& shape, uint8_t* to) {
  for (size_t k = 0; k < static_cast<size_t>(shape.k); ++k) {
    uint8_t* pair = to + k / 2 * 64 + k % 2 * 2;
    for (int o = 0; o < rows.count; ++o) {
      memcpy(pair + o * 4, rows.first + static_cast<size_t>(o) * rows.row_bytes + k * 2, 2);
    }
  }
}

void pack_quantized(TensorType type, const PanelRows& rows, const PackedMatrix& shape,
                    uint8_t* to) {
  const BlockReader read = block_reader(type);
  CHECK(read != nullptr, "tensor type {} cannot be packed", name_of(type));
  const BlockShape block = block_shape(type);
  const int stretches = (shape.k + 255) / 256;
  for (int stretch = 0; stretch < stretches; ++stretch) {
    StagedStretch staged = {};
    const int left = shape.k - stretch * 256;
    const int elements = left < 256 ? left : 256;
    const int blocks = elements / static_cast<int>(block.elements);
    const size_t first_block = static_cast<size_t>(stretch) * 256 / block.elements * block.bytes;
    for (int o = 0; o < rows.count; ++o) {
      const uint8_t* from = rows.first + static_cast<size_t>(o) * rows.row_bytes + first_block;
      for (int i = 0; i < blocks; ++i) {
        read(from + static_cast<size_t>(i) * block.bytes, o, i, staged);
      }
    }
    const int bytes = unit_bytes(shape);
    if (block.elements == 256) {
      put_super_block(staged, shape.format, to);
      to += bytes;
      continue;
    }
    for (int unit = 0; unit < (elements + 63) / 64; ++unit, to += bytes) {
      put_unit(staged, shape, unit, to);
    }
  }
}

// Minus an integer up to 128, as float16 or bfloat16 bits: both hold it exactly.
uint16_t minus_small(int value, ScaleType type) {
  if (value == 0) return 0;
  int exponent = 0;
  while (value >> exponent > 1)
    ++exponent;
  const int fraction = value - (1 << exponent);
  if (type == ScaleType::kBF16Zeros) {
    return static_cast<uint16_t>(0x8000 | (127 + exponent) << 7 | fraction << (7 - exponent));
  }
  return static_cast<uint16_t>(0x8000 | (15 + exponent) << 10 | fraction << (10 - exponent));
}

// Groups [first, first + count) of 32 k of the rows.
struct GroupRange {
  int first, count;
};

void stage_groups(const GroupedRows& rows, const PackedMatrix& shape, GroupRange range,
                  StagedStretch& out) {
  const size_t groups = static_cast<size_t>(shape.k) / layout::kGroup;
  for (int o = 0; o < rows.count; ++o) {
    const size_t row = static_cast<size_t>(o);
    const size_t first = static_cast<size_t>(range.first);
    memcpy(out.code[o], rows.codes + row * static_cast<size_t>(shape.k) + first * layout::kGroup,
           static_cast<size_t>(range.count) * layout::kGroup);
    for (int g = 0; g < range.count; ++g) {
      const size_t at = row * groups + first + static_cast<size_t>(g);
      out.scale[g][o] = rows.scales[at];
      if (rows.zeros != nullptr) out.minimum[g][o] = minus_small(rows.zeros[at], shape.scale_type);
    }
  }
}

}  // namespace

void pack_grouped_panel(const GroupedRows& rows, const PackedMatrix& shape, uint8_t* panel) {
  memset(panel, 0, shape.panel_bytes);
  const int groups = shape.k / layout::kGroup;
  for (int group = 0; group < groups; group += 8) {
    const int count = groups - group < 8 ? groups - group : 8;
    StagedStretch staged = {};
    stage_groups(rows, shape, {group, count}, staged);
    for (int unit = 0; unit < (count + 1) / 2; ++unit, panel += unit_bytes(shape)) {
      put_unit(staged, shape, unit, panel);
    }
  }
}

void pack_panels(TensorType type, const uint8_t* tensor, const PackedMatrix& shape, uint8_t* data,
                 PanelRange panels) {
  const BlockShape block = block_shape(type);
  const size_t row_bytes = static_cast<size_t>(shape.k) / block.elements * block.bytes;
  for (int panel = panels.begin; panel < panels.end; ++panel) {
    const int first = panel * layout::kPanelOutputs;
    const int left = shape.n - first;
    const PanelRows rows = {tensor + static_cast<size_t>(first) * row_bytes, row_bytes,
                            left < layout::kPanelOutputs ? left : layout::kPanelOutputs};
    uint8_t* to = data + static_cast<size_t>(panel) * shape.panel_bytes;
    memset(to, 0, shape.panel_bytes);
    if (activation_kind(shape.format) == ActivationKind::kFloat) {
      pack_floats(rows, shape, to);
    } else if (shape.format == PackedFormat::kBF16) {
      pack_pairs(rows, shape, to);
    } else {
      pack_quantized(type, rows, shape, to);
    }
  }
}

}  // namespace inferno::kernel
