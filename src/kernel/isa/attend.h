// Attention over paged keys and values, once per instruction set: what fills attend and store_kv of
// KernelTable (kernels.h has the definition of the result).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/types.h"

namespace inferno::kernel::INFERNO_ISA {

void attend(const AttentionInput& in, uint8_t* scratch);
void store_kv(const float* k, const float* v, size_t row_stride, int rows, int first_position,
              int head_width, KvType kv_type, uint8_t* kv_base, size_t page_stride,
              const uint32_t* page_table);

}  // namespace inferno::kernel::INFERNO_ISA
