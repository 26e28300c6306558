// The tile registers of AMX (palette 1: eight of 16 rows by 64 bytes), and their instructions.
//
//   tmm0 - tmm3  sums       16 rows of activations x 16 outputs, int32
//   tmm4, tmm5   rows       16 rows of activations x 64 k, int8
//   tmm6, tmm7   weights    16 steps x 16 outputs x 4 k: steps as formats.h draws them, so
//                           64 k of a panel are 16 steps, 1024 bytes in a row
//
//   sums[m][o] += sum over steps s and j < 4 of rows[m][4 s + j] * weights[s][o][j]
//
// With bfloat16 a tile of rows is 32 k, a step is 2 k, and sums are float:
//
//   sums[m][o] += (chain of fma over even k) + (chain of fma over odd k)
//
// both ascending from 0, to nearest even, denormals as zeros, whatever MXCSR says.
//
// In memory every row of a tile is 64 bytes after the one before, so each wrapper names the bytes
// it reads or writes exactly, and the compiler moves no load or store of its own across them.
// The wrappers are inline assembly because the intrinsics of g++ 12 name too few of those bytes.
//
// Invariant: between configure_tiles() and release_tiles() a thread calls no other user of tiles,
//            for compilers know nothing of these registers.
// Cost:      configure_tiles about 45 ns, release_tiles 3 ns, a product of full tiles 16 cycles.
// Source:    Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/isa/unroll.h"

namespace inferno::kernel::INFERNO_ISA {

inline constexpr int kAmxTileRows = 16;
inline constexpr size_t kAmxRowBytes = 64;

// The 64 bytes that LDTILECFG reads.
struct alignas(64) TileConfig {
  uint8_t palette;
  uint8_t start_row;
  uint8_t reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};
static_assert(sizeof(TileConfig) == 64);

inline constexpr TileConfig kTilesOf64 = {
    1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

inline void configure_tiles(const TileConfig& config) {
  asm volatile("ldtilecfg %0" ::"m"(config));
}
inline void release_tiles() {
  asm volatile("tilerelease");
}

template <int kTile>
INFERNO_INLINE inline void zero_tile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
}

// Loads a tile of `kBytes` bytes from the first to the last, rows 64 bytes apart.
template <int kTile, int kBytes>
INFERNO_INLINE inline void load_tile(const void* from) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(kTile), "r"(from), "r"(kAmxRowBytes),
               "m"(*static_cast<const uint8_t(*)[kBytes]>(from)));
}

// The same with the hint that the bytes are not worth a place in the L1 cache.
template <int kTile, int kBytes>
INFERNO_INLINE inline void stream_tile(const void* from) {
  asm volatile("tileloaddt1 (%1,%2,1), %%tmm%c0" ::"i"(kTile), "r"(from), "r"(kAmxRowBytes),
               "m"(*static_cast<const uint8_t(*)[kBytes]>(from)));
}

// Loads a tile of 64 bytes a row, rows `stride` bytes apart, which a function compiled apart has
// written.
template <int kTile>
INFERNO_INLINE inline void load_rows(const void* from, size_t stride) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(kTile), "r"(from), "r"(stride),
               "m"(*static_cast<const uint8_t(*)[64]>(from)));
}

template <int kTile>
INFERNO_INLINE inline void store_sums(int32_t (*to)[16]) {
  asm volatile("tilestored %%tmm%c1, (%2,%3,1)"
               : "=m"(*reinterpret_cast<int32_t(*)[16][16]>(to))
               : "i"(kTile), "r"(to), "r"(kAmxRowBytes));
}

template <int kTile>
INFERNO_INLINE inline void store_float_sums(float (*to)[16]) {
  asm volatile("tilestored %%tmm%c1, (%2,%3,1)"
               : "=m"(*reinterpret_cast<float(*)[16][16]>(to))
               : "i"(kTile), "r"(to), "r"(kAmxRowBytes));
}

template <int kSums, int kRows, int kWeights>
INFERNO_INLINE inline void add_bf16_products() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kRows), "i"(kWeights));
}

// sums += rows * weights. Weights are signed or unsigned, rows signed; sums wrap modulo 2^32.
template <int kSums, int kRows, int kWeights, bool kIsSigned>
INFERNO_INLINE inline void add_products() {
  if constexpr (kIsSigned) {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kRows), "i"(kWeights));
  } else {
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kRows), "i"(kWeights));
  }
}

}  // namespace inferno::kernel::INFERNO_ISA
