// What rounding to bfloat16 and products of it need besides vectors.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/formats.h"

namespace inferno::kernel::INFERNO_ISA {

// bfloat16 bits, to nearest even; a NaN stays one.
inline uint16_t bf16_of_float(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

// Units of 32 k that k inputs take.
inline int rounded_units(int k) {
  return (k + layout::kRoundedK - 1) / layout::kRoundedK;
}

// The 32 elements of a row and unit of RoundedRows.
inline size_t rounded_offset(int units, int row, int unit) {
  constexpr int kRows = layout::kRoundedTileRows;
  const size_t tile =
      static_cast<size_t>(row / kRows) * static_cast<size_t>(units) + static_cast<size_t>(unit);
  return (tile * kRows + static_cast<size_t>(row % kRows)) * layout::kRoundedK;
}

// While one lives, its thread rounds to nearest even, takes denormal operands for zeros and flushes
// denormal results to zeros, as the tile products always do.
//
// Compilers know nothing of MXCSR: what is to be computed under it is called as a function that is
// not inlined.
class FlushToZero {
 public:
  FlushToZero() {
    asm volatile("stmxcsr %0" : "=m"(before_)::"memory");
    const uint32_t flushing = 0x9FC0;  // FTZ, DAZ, to nearest; no exception traps
    asm volatile("ldmxcsr %0" ::"m"(flushing) : "memory");
  }
  ~FlushToZero() { asm volatile("ldmxcsr %0" ::"m"(before_) : "memory"); }
  FlushToZero(const FlushToZero&) = delete;
  FlushToZero& operator=(const FlushToZero&) = delete;

 private:
  uint32_t before_;
};

}  // namespace inferno::kernel::INFERNO_ISA
