// KernelTable::matmul: the kind of the format chooses the arithmetic.
#include "kernel/isa/matmul.h"

namespace inferno::kernel::INFERNO_ISA {

void matmul(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
            uint8_t* scratch) {
  switch (w.format) {
    case PackedFormat::kF32:
    case PackedFormat::kF16:
      return matmul_floats(w, x, out, scratch);
    case PackedFormat::kBF16:
      return matmul_bf16(w, x, out, scratch);
    case PackedFormat::kQ4:
    case PackedFormat::kQ5:
    case PackedFormat::kQ8:
      return matmul_groups(w, x, out, scratch);
    case PackedFormat::kQ2K:
    case PackedFormat::kQ3K:
    case PackedFormat::kQ4K:
    case PackedFormat::kQ5K:
    case PackedFormat::kQ6K:
    case PackedFormat::kCodebook4K:
    case PackedFormat::kCodebook4KFine:
    case PackedFormat::kTernaryK:
      return matmul_super_blocks(w, x, out, scratch);
  }
}

}  // namespace inferno::kernel::INFERNO_ISA
