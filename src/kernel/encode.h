// Floats to blocks of GGUF types: the quantizers for weights that are quantized, or float16, when
// they are loaded.
//
// Each block is computed from its own floats only, by a fixed sequence of roundings that does not
// depend on the instruction set. Values that are no numbers count as 0, larger ones as +-65504.
// Threads: stateless. Cost: Q8_0 a few operations a value; Q4_1 and Q4_K some 150, for they search.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/types.h"

namespace inferno::kernel {

// The bits of the nearest float16 (to even between two); an infinity beyond 65504.
uint16_t f16_of(float value);

// The bits of the nearest bfloat16 (to even between two); a NaN stays a NaN.
uint16_t bf16_of(float value);

// Encodes `count` floats as blocks of `type`: F16 (the nearest), Q8_0 (nearest codes), Q4_1 or Q4_K
// (scale and minimum of each 32 found by trying spans of the codes and least squares for each).
// False, and nothing written, for other types and when count is not a multiple of the type's block.
bool encode(TensorType type, const float* values, size_t count, uint8_t* out);

}  // namespace inferno::kernel
