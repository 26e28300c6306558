// The product with bfloat16 weights (kBF16) by AMX tiles.
#pragma once

#include "kernel/types.h"

namespace inferno::kernel::INFERNO_ISA {

// From so many rows on the tiles are faster than AVX-512.
inline constexpr int kLeastAmxBf16Rows = 2;

// KernelTable::matmul for weights of kBF16.
void matmul_amx_bf16(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                     uint8_t* scratch);

}  // namespace inferno::kernel::INFERNO_ISA
