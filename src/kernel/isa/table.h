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
}

}  // namespace inferno::kernel
