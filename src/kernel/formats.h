// Where everything lies in a packed matrix: the one description that packing and the kernels share.
// Constants only, for it is included by files compiled for several instruction sets.
//
// A panel holds 16 outputs. A STEP is 4 consecutive k of a panel: 64 bytes of codes, byte 4 o + j
// being output o at k + j, which is what one dot-product instruction consumes.
//   nibbles   64 bytes hold two steps: step 2 v in the low halves, step 2 v + 1 in the high halves
//   pairs     64 bytes hold four steps of 2 bits: step 4 v + i in bits 2 i and 2 i + 1
//   bits      8 bytes hold one step of 1 bit: bit 4 o + j
//
// One scale per group of 32 k (kQ4, kQ5, kQ8): a panel is units of TWO groups, so that codes stay
// aligned to 64; a missing last group is zeros with scale 0. In this order:
//   codes of both groups (nibbles; bytes for kQ8), bits of both (kQ5), scales [2][16],
//   minima [2][16]
// Super-blocks of 256 k (the K formats), sub-blocks numbered along k:
//   kQ4K         nibbles        sub-scales u8 [8][16], minima u8 [4][16][2], d [16], dmin [16]
//   kQ5K         nibbles, bits  the same
//   kQ6K         nibbles, pairs sub-scales i8 [16][16], d [16]
//   kQ3K         pairs, bits    sub-scales i8 [16][16], d [16]
//   kQ2K         pairs          (sub-scale + 16 * minimum) u8 [8][16][2], d [16], dmin [16]
//   kCodebook4K      nibbles    sub-scales i8 [8][16], d float32 [16]
//   kCodebook4KFine  nibbles    sub-scales i8 [16][16], d float32 [16]
//   kTernaryK        pairs      d [16]
// Where d is not float32 (an eighth of a float16 need not be a float16), d, dmin, scales and minima
// are float16 (or as ScaleType says). [j][16][2] is sub-blocks 2 j and
// 2 j + 1 of each output side by side. All offsets below are bytes.
#pragma once

#include "kernel/types.h"

namespace inferno::kernel::layout {

inline constexpr int kPanelOutputs = 16;
inline constexpr int kPanelPair = 2;  // panels that products of many rows work on at once
inline constexpr int kStepBytes = 64;
inline constexpr int kGroup = 32;          // k per scale of kQ4, kQ5, kQ8
inline constexpr int kSuperBlock = 256;    // k per super-block
inline constexpr int kScaleRowBytes = 32;  // 16 outputs, 2 bytes each

// bfloat16 (kBF16): units of 32 k, the last one filled up with zeros. A unit is 16 pairs of
// consecutive k, a pair 64 bytes: element 2 o + j is output o at k + j. So a unit is one tile of
// weights as TDPBF16PS wants it.
inline constexpr int kRoundedK = 32;  // k of a unit, and of a tile of RoundedRows
inline constexpr int kRoundedTileRows = 16;
inline constexpr int kRoundedTileBytes = 1024;  // of either

inline constexpr int kQ4GroupBytes = 256;
inline constexpr int kQ8GroupBytes = 512;
inline constexpr int kQ5BitsOffset = 2 * kQ4GroupBytes;
inline constexpr int kQ4ScalesOffset = 2 * kQ4GroupBytes;
inline constexpr int kQ5ScalesOffset = kQ5BitsOffset + 128;
inline constexpr int kQ8ScalesOffset = 2 * kQ8GroupBytes;

inline constexpr int kNibblesBytes = 2048;  // of a super-block
inline constexpr int kPairsBytes = 1024;
inline constexpr int kBitsBytes = 512;

struct SuperBlockLayout {
  int sub_elements;        // k per sub-block
  int pairs, bits;         // nibbles, when there are any, are at 0
  int sub_scales, minima;  // kQ2K: both in `sub_scales`
  int d, dmin;
  int bytes;  // a multiple of 64
};
inline constexpr SuperBlockLayout kQ4K = {32, 0, 0, 2048, 2176, 2304, 2336, 2368};
inline constexpr SuperBlockLayout kQ5K = {32, 0, 2048, 2560, 2688, 2816, 2848, 2880};
inline constexpr SuperBlockLayout kQ6K = {16, 2048, 0, 3072, 0, 3328, 0, 3392};
inline constexpr SuperBlockLayout kQ3K = {16, 0, 1024, 1536, 0, 1792, 0, 1856};
inline constexpr SuperBlockLayout kQ2K = {16, 0, 0, 1024, 0, 1280, 1312, 1344};
inline constexpr SuperBlockLayout kCodebook4K = {32, 0, 0, 2048, 0, 2176, 0, 2240};
inline constexpr SuperBlockLayout kCodebook4KFine = {16, 0, 0, 2048, 0, 2304, 0, 2368};
inline constexpr SuperBlockLayout kTernaryK = {32, 0, 0, 0, 0, 1024, 0, 1088};

}  // namespace inferno::kernel::layout

namespace inferno::kernel {

// The bytes of a unit (two groups; 32 k of kBF16) or of a super-block of a format; for floats, of
// one k.
int unit_bytes(const PackedMatrix& shape);

// How many k a unit of unit_bytes() covers.
int unit_elements(PackedFormat format);

}  // namespace inferno::kernel
