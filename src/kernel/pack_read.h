// One stretch of 256 k of 16 outputs, taken out of a file's blocks and not yet arranged: the middle
// of packing.
//
// The readers turn a block of one output, in the layout of the file (ggml/src/ggml-common.h), into
// codes in the order of k; pack.cc arranges them as formats.h says. No value is computed, only
// moved.
#pragma once

#include "kernel/types.h"

namespace inferno::kernel {

// All zeros is the content of outputs and groups that do not exist.
struct StagedStretch {
  uint8_t code[16][256];        // [output][k]
  uint16_t scale[8][16];        // [group][output], or d in row 0
  uint16_t minimum[8][16];      // [group][output], or dmin in row 0
  uint8_t sub_scale[16][16];    // [sub-block][output]; int8 in two's complement where signed
  uint8_t sub_minimum[16][16];  // [sub-block][output]
  float d[16];                  // [output], codebook formats: d as float32
};

// Reads `block` as output `output`, group `group` (formats of 32 k; 0 for super-blocks) of `out`.
using BlockReader = void (*)(const uint8_t* block, int output, int group, StagedStretch& out);

// The reader of a quantized type; null for a type that is not packed.
BlockReader block_reader(TensorType type);

// The same, of IQ1, IQ2, IQ3, TQ1_0 and TQ2_0 only (pack_read_iq.cc).
BlockReader iq_block_reader(TensorType type);

}  // namespace inferno::kernel
