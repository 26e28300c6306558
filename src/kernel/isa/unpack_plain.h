// 256 k of one panel as plain numbers: what the plain matrix products multiply with, and what tests
// hold packing to. formats.h has the picture of the bytes.
#pragma once

#include "kernel/types.h"

namespace inferno::kernel::plain {

struct UnpackedStretch {
  int sub_elements;           // 32 or 16
  int16_t value[256][16];     // code - zero point, or the codebook's level
  int16_t sub_scale[16][16];  // super-blocks
  int16_t sub_minimum[16][16];
  float scale[8][16];    // groups of 32: per group; super-blocks: d in row 0
  float minimum[8][16];  // groups of 32: per group; super-blocks: dmin in row 0
};

// Unpacks stretch `stretch` of a panel of a quantized format; what lies beyond k is zeros.
void unpack_stretch(const PackedMatrix& w, int panel, int stretch, UnpackedStretch* out);

}  // namespace inferno::kernel::plain
