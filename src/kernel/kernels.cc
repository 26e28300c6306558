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
  }
  return "unknown";
}

const KernelTable* table(Isa isa) {
  switch (isa) {
    case Isa::kPlain:
      return &plain::kTable;
    case Isa::kAvx2:
      return supported().avx2 ? &avx2::kTable : nullptr;
    case Isa::kAvx512:
      return supported().avx512 ? &avx512::kTable : nullptr;
  }
  return nullptr;
}

const KernelTable& best_table() {
  if (supported().avx512) return avx512::kTable;
  if (supported().avx2) return avx2::kTable;
  return plain::kTable;
}

}  // namespace inferno::kernel
