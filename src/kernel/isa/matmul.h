// Matrix products, once per instruction set. kernels.h defines the arithmetic; KernelTable::matmul
// is `matmul`.
#pragma once

#include "kernel/types.h"

namespace inferno::kernel::INFERNO_ISA {

void matmul(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out, uint8_t* scratch);

// The parts of it, by kind of format.
void matmul_floats(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                   uint8_t* scratch);
void matmul_bf16(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                 uint8_t* scratch);
void matmul_groups(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                   uint8_t* scratch);
void matmul_super_blocks(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                         uint8_t* scratch);

// KernelTable::quantize_rows.
void quantize_rows(const float* x, size_t x_stride, int row_begin, int row_end,
                   const QuantizedRows& out);
// KernelTable::round_rows.
void round_rows(const float* x, size_t x_stride, int row_begin, int row_end,
                const RoundedRows& out);

}  // namespace inferno::kernel::INFERNO_ISA
