// Choosing a table: the widest instruction set that this CPU runs.
#include "kernel/kernels.h"

#include "kernel/isa/table.h"
#include "kernel/isa_detect.h"

namespace inferno::kernel {
namespace {

// Asked once: under a hypervisor, CPUID costs tens of microseconds.
struct Supported {
  bool avx2 = is_supported(Isa::kAvx2);
  bool avx512 = is_supported(Isa::kAvx512);
  bool amx = is_supported(Isa::kAmx);
};
const Supported& supported() {
  static const Supported answer;
  return answer;
}

}  // namespace

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::kPlain:
      return "plain";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAmx:
      return "amx";
  }
  return "unknown";
}

const KernelTable& amx_table() {
  static const KernelTable table = [] {
    KernelTable with_tiles = avx512::kTable;
    with_tiles.isa = Isa::kAmx;
    with_tiles.matmul = avx512::matmul_amx;
    with_tiles.int8_products = avx512::int8_products_amx;
    with_tiles.bf16_products = avx512::bf16_products_amx;
    return with_tiles;
  }();
  return table;
}

const KernelTable* table(Isa isa) {
  switch (isa) {
    case Isa::kPlain:
      return &plain::kTable;
    case Isa::kAvx2:
      return supported().avx2 ? &avx2::kTable : nullptr;
    case Isa::kAvx512:
      return supported().avx512 ? &avx512::kTable : nullptr;
    case Isa::kAmx:
      return supported().amx ? &amx_table() : nullptr;
  }
  return nullptr;
}

const KernelTable& best_table() {
  if (supported().amx) return amx_table();
  if (supported().avx512) return avx512::kTable;
  if (supported().avx2) return avx2::kTable;
  return plain::kTable;
}

}  // namespace inferno::kernel
