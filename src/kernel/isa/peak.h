// What this machine can do at most, by an instruction set: the denominators of "per cent of the
// peak".
#pragma once

#include "kernel/types.h"

namespace inferno::kernel::INFERNO_ISA {

// Reads every byte once, with the prefetch the matrix kernels use; returns a checksum that depends
// on all of them.
// Requires: bytes a multiple of 256.
uint64_t read_stream(const uint8_t* data, size_t bytes);

// Runs `iterations` rounds of this set's 8-bit dot product on registers only, and returns the
// operations done (a multiplication and an addition are two). The result of the arithmetic goes to
// *sink.
uint64_t int8_products(int iterations, int32_t* sink);

// The same of what multiplies kBF16: fused multiply-adds of floats, or the tiles' products.
uint64_t bf16_products(int iterations, float* sink);

}  // namespace inferno::kernel::INFERNO_ISA
