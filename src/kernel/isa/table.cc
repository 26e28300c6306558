// The KernelTable of one instruction set.
#include "kernel/isa/table.h"

#include "kernel/isa/attend.h"
#include "kernel/isa/matmul.h"
#include "kernel/isa/peak.h"
#include "kernel/isa/rows.h"

namespace inferno::kernel::INFERNO_ISA {

const KernelTable kTable = {
#if defined(INFERNO_ISA_AVX512)
    .isa = Isa::kAvx512,
#elif defined(INFERNO_ISA_AVX2)
    .isa = Isa::kAvx2,
#else
    .isa = Isa::kPlain,
#endif
    .matmul = matmul,
    .quantize_rows = quantize_rows,
    .round_rows = round_rows,
    .attend = attend,
    .attend_spans = attend_spans,
    .merge_spans = merge_spans,
    .store_kv = store_kv,
    .rms_norm = rms_norm,
    .rope_interleaved = rope_interleaved,
    .rope_neox = rope_neox,
    .add = add,
    .multiply_scalar = multiply_scalar,
    .silu_multiply = silu_multiply,
    .gelu_tanh_multiply = gelu_tanh_multiply,
    .clamped_swiglu = clamped_swiglu,
    .softcap = softcap,
    .argmax = argmax,
    .block_maxima = block_maxima,
    .sum_exp = sum_exp,
    .read_stream = read_stream,
    .int8_products = int8_products,
    .bf16_products = bf16_products,
};

}  // namespace inferno::kernel::INFERNO_ISA
