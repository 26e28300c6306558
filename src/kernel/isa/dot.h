// Integer dot products of 16 outputs at a time, for AVX2 and AVX-512: what the quantized matrix
// products are made of. formats.h has the picture of the bytes.
//
//   Codes   one step: 64 bytes, byte 4 o + j is the unsigned code of output o at k + j
//   Quad    four activations (int8), repeated for all outputs
//   Dot     the int32 sums of 16 outputs over kSteps steps of codes of at most kMaxCode
//
//   load_codes, store_codes             64 bytes, aligned
//   nibbles_of<S>(packed)               the 4-bit codes of step S (mod 2) of 64 bytes of nibbles
//   pairs_of<S>(packed)                 the 2-bit codes of step S (mod 4) of 64 bytes of pairs
//   add_pairs_shifted<S>(low, packed)   low + 16 * the 2-bit codes of step S (mod 4)
//   add_bits<V>(low, bits)              low + V where the step's bit is set, 8 bytes of bits
//   load_codebook, look_up              nibbles -> level + 128
//   Dot::start(v), add(codes, q, step), finish()   v, plus the products, as 16 int32
//   add_pair_products(sum, pairs, both) sum[o] + pairs[o][0] * both[0] + pairs[o][1] * both[1], of
//   int16
//   widen_*                             16 (32 for pairs) small integers to int32 (int16)
//   low_nibble_pairs<B>(pairs)          bits B to B + 3 of each int16
//   first_of_pairs, second_of_pairs     the lower, upper int16 (not negative) of each pair as int32
//   kTilePanels, kTileRows, ...           the register block: matmul_tiles.h
//
// Dot<255>::start takes the zero point's part of 8-bit codes: its argument must be -128 * sum(q).
#pragma once

#if defined(INFERNO_ISA_AVX512)
#include "kernel/isa/dot_avx512.h"
#elif defined(INFERNO_ISA_AVX2)
#include "kernel/isa/dot_avx2.h"
#endif
