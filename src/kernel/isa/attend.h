// Attention over paged keys and values, once per instruction set: what fills attend and store_kv of
// KernelTable (kernels.h has the definition of the result).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/types.h"

namespace inferno::kernel::INFERNO_ISA {

void attend(const AttentionInput& in, uint8_t* scratch);
void store_kv(const KvRows& in);

}  // namespace inferno::kernel::INFERNO_ISA
