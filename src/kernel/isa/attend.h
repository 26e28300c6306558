// Attention over paged keys and values, once per instruction set: what fills attend, attend_spans,
// merge_spans and store_kv of KernelTable (kernels.h has the definition of the results).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/types.h"

namespace inferno::kernel::INFERNO_ISA {

void attend(const AttentionInput& in, uint8_t* scratch);
void attend_spans(const AttentionInput& in, SpanRange spans, float* states, uint8_t* scratch);
void merge_spans(const AttentionInput& in, SpanRange spans, const float* states, uint8_t* scratch);
void store_kv(const KvRows& in);

}  // namespace inferno::kernel::INFERNO_ISA
