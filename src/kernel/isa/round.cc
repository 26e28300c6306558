// KernelTable::round_rows: float activations to tiles of bfloat16.
#include "kernel/isa/bf16.h"
#include "kernel/isa/matmul.h"

namespace inferno::kernel::INFERNO_ISA {

void round_rows(const float* x, size_t x_stride, int row_begin, int row_end,
                const RoundedRows& out) {
  constexpr int kUnit = layout::kRoundedK;
  const int units = rounded_units(out.k);
  for (int row = row_begin; row < row_end; ++row) {
    const float* from = x + static_cast<size_t>(row) * x_stride;
    for (int unit = 0; unit < units; ++unit, from += kUnit) {
      uint16_t* to = out.x + rounded_offset(units, row, unit);
      const int left = out.k - unit * kUnit;
      if (left >= kUnit) {
        for (int i = 0; i < kUnit; ++i)
          to[i] = bf16_of_float(from[i]);
      } else {
        for (int i = 0; i < kUnit; ++i)
          to[i] = i < left ? bf16_of_float(from[i]) : uint16_t{0};
      }
    }
  }
}

}  // namespace inferno::kernel::INFERNO_ISA
