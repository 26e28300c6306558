// KernelTable::matmul of the AMX table: tiles for many rows of quantized formats and for bfloat16,
// AVX-512 for the rest.
#if defined(INFERNO_ISA_AVX512)
#include "kernel/isa/matmul_amx.h"

#include "kernel/isa/matmul_amx_bf16.h"
#include "kernel/isa/table.h"

namespace inferno::kernel::INFERNO_ISA {

void matmul_amx(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                uint8_t* scratch) {
  if (x.rows >= kLeastAmxRows && x.quantized != nullptr) {
    const MatmulJob job = {w, *x.quantized, x.rows, out, scratch};
    if (x.rows >= kLeastAmxGroupRows && amx_groups(job)) return;
    if (amx_super_blocks(job)) return;
  }
  if (w.format == PackedFormat::kBF16 && x.rows >= kLeastAmxBf16Rows) {
    return matmul_amx_bf16(w, x, out, scratch);
  }
  matmul(w, x, out, scratch);
}

// Four sums, two tiles of rows, two of weights: as the products above do, without loads.
uint64_t int8_products_amx(int iterations, int32_t* sink) {
  alignas(64) uint8_t bytes[1024];
  for (int i = 0; i < 1024; ++i)
    bytes[i] = static_cast<uint8_t>(i % 7);
  configure_tiles(kTilesOf64);
  unroll<0, 4>([](auto i) INFERNO_INLINE { zero_tile<i>(); });
  load_tile<4, 1024>(bytes);
  load_tile<5, 1024>(bytes);
  load_tile<6, 1024>(bytes);
  load_tile<7, 1024>(bytes);
  for (int i = 0; i < iterations; ++i) {
    add_products<0, 4, 6, true>();
    add_products<1, 4, 7, true>();
    add_products<2, 5, 6, true>();
    add_products<3, 5, 7, true>();
  }
  alignas(64) int32_t sums[16][16];
  store_sums<3>(sums);
  release_tiles();
  *sink = sums[15][15];
  return static_cast<uint64_t>(iterations) * 4 * 16 * 16 * 64 * 2;
}

}  // namespace inferno::kernel::INFERNO_ISA
#endif
