// The outputs of a matrix product: which of them are computed together, and how they are written.
#pragma once

#include "kernel/isa/vec.h"
#include "kernel/types.h"

namespace inferno::kernel::INFERNO_ISA {

// A block of rows times a group of panels.
struct PanelGroup {
  int row_begin, row_end;
  int panel;   // the first
  int panels;  // of the group, that exist
};

// Writes 16 outputs of a row, or fewer at the end of n.
inline void write_outputs(const MatmulOutput& out, int n, int row, int panel, Floats value) {
  float* y = out.y + static_cast<size_t>(row) * out.stride + static_cast<size_t>(panel) * 16;
  const int left = n - panel * 16;
  if (left >= 16) {
    store(y, out.accumulate ? add(load(y), value) : value);
  } else {
    store_n(y, out.accumulate ? add(load_n(y, left), value) : value, left);
  }
}

}  // namespace inferno::kernel::INFERNO_ISA
