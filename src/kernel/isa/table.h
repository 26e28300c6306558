// The tables that isa/table.cc makes, one per instruction set; kernels.cc chooses among them.
#pragma once

#include "kernel/kernels.h"

namespace inferno::kernel {

namespace plain {
extern const KernelTable kTable;
}
namespace avx2 {
extern const KernelTable kTable;
}
namespace avx512 {
extern const KernelTable kTable;
// What the AMX table has of its own (matmul_amx.cc).
void matmul_amx(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                uint8_t* scratch);
uint64_t int8_products_amx(int iterations, int32_t* sink);
uint64_t bf16_products_amx(int iterations, float* sink);
}  // namespace avx512

// avx512::kTable with matrix products by AMX. Requires: the CPU has both and the process may use
// AMX (isa_detect.h), or something stands in for its instructions.
const KernelTable& amx_table();

}  // namespace inferno::kernel
