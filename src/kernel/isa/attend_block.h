// What the parts of attention share: a tile of queries and a block of positions.
//
//   block   64 absolute positions, 4 pages; the last one of a sequence may have fewer pages
//   tile    up to kMostPairs (row, head) pairs whose scores and sums fill the vector registers
//
//   raw scores  --weigh()-->  weights       [pair, 64], in place
//   kInt8: then rounded to integers         [pair, 64] int16 with a scale per pair
//
// Thread: everything lives in the scratch of one call.
#pragma once

#include "kernel/isa/unroll.h"
#include "kernel/isa/vec.h"
#include "kernel/types.h"

namespace inferno::kernel::INFERNO_ISA {

inline constexpr int kBlockPositions = 64;
inline constexpr int kBlockPages = kBlockPositions / kPagePositions;

// Tile shapes that fill the registers: AVX-512 has 32; AVX2 has 16 of half the width. A call with
// up to kMostPairs pairs is one tile, so that each key is converted once: converting takes the
// ports that multiply. More are cut into tiles of up to kTilePairs, which reload least.
#if defined(INFERNO_ISA_AVX512)
inline constexpr int kTilePairs = 6;
inline constexpr int kMostPairs = 12;
inline constexpr int kTileVectors = 24;
#elif defined(INFERNO_ISA_AVX2)
inline constexpr int kTilePairs = 6;
inline constexpr int kMostPairs = 6;
inline constexpr int kTileVectors = 6;
#else
inline constexpr int kTilePairs = 2;
inline constexpr int kMostPairs = 2;  // little to unroll: plain lanes are slow to compile
inline constexpr int kTileVectors = 1;
#endif

// Vectors that each of `pairs` pairs gets of the registers: 1, 2 or 4.
constexpr int vectors_per_pair(int pairs) {
  return pairs * 4 <= kTileVectors ? 4 : pairs * 2 <= kTileVectors ? 2 : 1;
}

// Positions of a block that a pair sees, relative to the block; empty: begin == end == 0.
struct Range {
  int begin;
  int end;
};

struct Block {
  int first_position;
  int pages;  // 1 to 4: pages that hold a position somebody sees
  const uint8_t* page[kBlockPages];
  const uint8_t* next[kBlockPages];  // pages to ask into the cache meanwhile
};

struct Tile {
  int first;             // of its pairs in the chunk
  int count;             // pairs
  const void* queries;   // [E, count] float; kInt8: [E / 2, count] pairs of int16
  const float* scales;   // [count] of the queries; kInt8 only
  const Range* ranges;   // [count] what the pairs see of the block
  const float* shrinks;  // [count] what the sums so far are multiplied with, before values
  float* weights;        // [count, 64]
  int16_t* integers;     // [count, 64] weights as integers; kInt8 only
  float* integer_scale;  // [count] what they are multiplied with; kInt8 only
  float* sums;           // [count] rows of E floats
  size_t sum_stride;     // floats from row to row
};

// The results of pair m alone; its queries and their scale are not in it.
inline Tile only(const Tile& tile, int m) {
  Tile one = tile;
  one.count = 1;
  one.ranges += m;
  one.shrinks += m;
  one.weights += m * kBlockPositions;
  one.integers += m * kBlockPositions;
  one.integer_scale += m;
  one.sums += static_cast<size_t>(m) * tile.sum_stride;
  return one;
}

inline int smaller(int a, int b) {
  return a < b ? a : b;
}
inline int larger(int a, int b) {
  return a > b ? a : b;
}

// Multiplies the sums of a tile with its shrinks. Returns the tile, with nothing left to shrink;
// `ones` is where it says so.
inline Tile shrink_sums(const Tile& tile, int width, float (&ones)[kMostPairs]) {
  Tile shrunk = tile;
  shrunk.shrinks = ones;
  for (int m = 0; m < tile.count; ++m) {
    ones[m] = 1.0f;
    if (tile.ranges[m].begin == tile.ranges[m].end || tile.shrinks[m] == 1.0f) continue;
    float* sums = tile.sums + static_cast<size_t>(m) * tile.sum_stride;
    for (int e = 0; e < width; e += 16)
      store(sums + e, mul(load(sums + e), set1(tile.shrinks[m])));
  }
  return shrunk;
}

// Asks for a line into the L1 cache.
inline void prefetch_near(const void* p) {
#if defined(__x86_64__)
  asm volatile("prefetcht0 %0" : : "m"(*static_cast<const char*>(p)));
#else
  __builtin_prefetch(p, 0, 3);
#endif
}

// Asks for a line into the L2 cache. In assembly where that is known: g++ finds a lambda that does
// nothing but __builtin_prefetch to be without effect, and drops the call.
inline void prefetch(const void* p) {
#if defined(__x86_64__)
  asm volatile("prefetcht1 %0" : : "m"(*static_cast<const char*>(p)));
#else
  __builtin_prefetch(p, 0, 2);
#endif
}

}  // namespace inferno::kernel::INFERNO_ISA
