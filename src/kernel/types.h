// Plain data that kernels work on: tensor types as files name them, packed weights, quantized
// activations.
//
// No header of kernel/ may hold or include an inline function: its objects are compiled with
// different instruction sets, the linker keeps one copy of an inline function, and it may be the
// AVX-512 one. Hence <stdint.h> and no std::.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace inferno::kernel {

// Tensor element types, with the numbers GGUF gives them (ggml/include/ggml.h, enum ggml_type).
enum class TensorType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  kNVFP4 = 40,
  kQ1_0 = 41,
  kQ2_0 = 42,
};

// How many elements a block of a type holds and how many bytes it takes; both 0 for an unknown
// type.
struct BlockShape {
  uint32_t elements;
  uint32_t bytes;
};
BlockShape block_shape(TensorType type);

// "Q4_K"; "unknown" for a number that is none of the above.
const char* name_of(TensorType type);

// Activations of `rows` tokens, quantized to int8 with one scale per block of `block` elements
// along K. Values lie in [-127, 127]. x[m][k] ~= scale[m][k / block] * q[m][k].
//
//   q       [rows, k] int8           row stride k
//   scale   [rows, k / block] float
//   sum     [rows, k / 16] int16     sum of q over each 16 elements: what zero points and minima
//   need
struct QuantizedRows {
  int8_t* q;
  float* scale;
  int16_t* sum;
  int rows;
  int k;
  int block;  // 32 for weights with scales per 32, 256 for K-quants
};

// Activations of `rows` tokens rounded to bfloat16, in tiles of 16 rows by 32 k that are 1024 bytes
// each. A float is rounded to nearest even, a denormal like any other; infinities stay, and a NaN
// becomes a quiet one.
//
//   x       [ceil(rows / 16), ceil(k / 32), 16, 32] bfloat16 bits, aligned to 64
//
// From k on there are zeros. What rows from `rows` on hold is of no meaning, but their memory is
// there and may be read.
struct RoundedRows {
  uint16_t* x;
  int rows;
  int k;
};

// What a packed matrix holds. A panel is 16 outputs; panels are stored one after the other.
enum class PackedFormat : uint8_t {
  kF32,
  kF16,   // floats: panel = [k][16] elements
  kBF16,  // panel = [ceil(k / 32)][16][16][2] elements: pairs of k side by side
  kQ4,
  kQ5,
  kQ8,  // groups of 32 along k: codes, one 16-bit scale, perhaps one 16-bit minimum
  kQ2K,
  kQ3K,
  kQ4K,
  kQ5K,
  kQ6K,  // super-blocks of 256 with integer sub-scales
  // The same with 4-bit codes that index a codebook of int8 levels. IQ4_XS has one; so have IQ1,
  // IQ2 and IQ3, whose points and signs come down to at most sixteen levels.
  kCodebook4K,      // sub-blocks of 32
  kCodebook4KFine,  // sub-blocks of 16
  kTernaryK,        // 2-bit codes, no sub-scales: TQ1_0, TQ2_0
};

// Which activations a format is multiplied with.
enum class ActivationKind : uint8_t { kFloat, kRounded, kBlock32, kBlock256 };

// How the scales and minima of kQ4, kQ5 and kQ8 are stored. bfloat16 holds every power of two of
// MXFP4. With kF16Zeros and kBF16Zeros a group's minimum is its scale times the stored number,
// which is minus the integer code that means 0 (AWQ, GPTQ): exact, where a rounded minimum is not.
enum class ScaleType : uint8_t { kF16, kBF16, kF16Zeros, kBF16Zeros };

// One weight matrix W [n, k], packed for the kernels: outputs in panels of 16, so that one vector
// register holds 16 outputs by 4 consecutive k, and a dot-product instruction multiplies it with 4
// broadcast activations. n is padded to a multiple of 16 with zero weights. The bytes belong to the
// caller and are aligned to 64.
struct PackedMatrix {
  PackedFormat format;
  const uint8_t* data;
  int n;
  int k;
  size_t panel_bytes;
  int zero_point;    // the code that means 0; 0 where a minimum or a codebook is
  bool has_minimum;  // kQ4, kQ5: w = scale * code + minimum; K formats: ... - dmin * sub-minimum
  ScaleType scale_type;
  const int8_t* codebook;  // the 16 int8 levels of 4-bit codes (IQ4_NL, MXFP4, IQ4_XS), or null
};

// How far ahead of its use a packed byte is fetched where few rows stream through all of the
// weights, if nobody has measured. GB/s of one core of a Xeon with AVX-512 VNNI, weights beyond the
// caches, for 1 and 8 rows of Q4_1: 512 bytes 12.2 and 8.3, 1,536 bytes 14.0 and 9.9, 3,072 bytes
// 15.4 and 11.2, 6,144 bytes 16.5 and 12.0, 9,216 bytes 15.5 and 11.8; other formats have the same
// order.
inline constexpr int kDefaultPrefetchBytes = 6144;

// A batch of rows to multiply: one of the three is used, by ActivationKind.
struct MatmulInput {
  const float* floats;         // [rows, k] float, row stride k
  const RoundedRows* rounded;  // kBF16
  const QuantizedRows* quantized;
  int rows;
  // How far ahead weights are fetched; changes the time, never the result.
  int prefetch_bytes = kDefaultPrefetchBytes;
};

// Where results go: y[m][n] at y + m * stride + n, for outputs [panel_begin * 16, min(panel_end *
// 16, n)).
struct MatmulOutput {
  float* y;
  size_t stride;
  int panel_begin;
  int panel_end;
  bool accumulate;  // y += result (a residual) instead of y = result
};

// The activation of gpt-oss's experts: its slope, and where gate and up are cut off.
struct ClampedSwiglu {
  float alpha;
  float limit;
};

// Element type of the KV cache. kInt8 has one scale per key and one per value of each position and
// head: key ~= scale * code.
enum class KvType : uint8_t { kF32, kF16, kBF16, kInt8 };

// "f32", "f16", "bf16", "int8".
const char* name_of(KvType type);

// Positions in a page of the KV cache: one vector register of keys.
inline constexpr int kPagePositions = 16;

// Head widths that attend() can do: multiples of kHeadWidthStep up to kMaxHeadWidth, which its
// scratch is sized for.
inline constexpr int kHeadWidthStep = 16;
inline constexpr int kMaxHeadWidth = 512;

// Bytes that the keys and values of one head take in one page (AttentionInput has the layout).
size_t kv_page_bytes(KvType type, int head_width);

// What a row sees is computed in spans of absolute positions, which are put together in ascending
// order at the end. Spans can be computed by different threads; that nothing else depends on
// where they begin keeps the result the same for every number of threads.
inline constexpr int kSpanPositions = 512;
inline constexpr int kMaxSpans = 64;

// Length of the spans of the row at absolute position `position`: kSpanPositions, doubled as often
// as it takes for kMaxSpans of them to reach from 0 to the row. A row's span i covers the positions
// [i * length, (i + 1) * length) as far as the row sees them. Rows of one page have equal spans.
int span_positions(int position);

// Attention of query rows of one sequence over its paged KV, for one key/value head.
//
// A page holds, for one layer and one key/value head, its keys then its values; floats as
//   keys    [E, 16]  keys transposed: 16 positions side by side
//   values  [16, E]
// and int8 in pairs, as the instructions that multiply 16-bit pairs want them:
//   keys         [E / 2, 16, 2]  element 2 i + j of position p at [i, p, j]
//   values       [8, E, 2]       element e of position 2 i + j at [i, e, j]
//   key scales   [16] float
//   value scales [16] float
// page p of the sequence starts at kv_base + page_table[p] * page_stride (bytes), and holds the
// absolute positions [16 p, 16 p + 16).
struct AttentionInput {
  const float* q;       // [rows, H, E] float; heads [head_begin, head_begin + group) are used
  size_t q_row_stride;  // floats from one row to the next
  float* out;           // [rows, H, E] float, same heads
  size_t out_row_stride;
  int rows;  // consecutive positions: row r is at absolute position first_position + r
  int first_position;
  int head_begin;  // first query head of this key/value head's group
  int group;       // query heads per key/value head
  int head_width;  // E, a multiple of 16
  float scale;     // multiplies q . k
  float softcap;   // 0: none; else scores become cap * tanh(score / cap)
  int window;      // 0: none; else a row sees itself and the window - 1 positions before it
  const float*
      sinks;  // [group] float, an extra logit per head that takes weight but has no value; or null
  KvType kv_type;
  const uint8_t* kv_base;  // layer and key/value head already added
  size_t page_stride;      // bytes from page i to page i + 1 of the store
  const uint32_t* page_table;
};

// The state of one row, head and span: this many floats (maximum, sums of weights), then the [E]
// sum of values.
inline constexpr int kStateHeaderFloats = 32;

// Spans [begin, end) of the rows of an AttentionInput.
struct SpanRange {
  int begin;
  int end;
};

// Keys and values of consecutive positions of one key/value head, and the pages they go to, as in
// AttentionInput.
struct KvRows {
  const float* k;     // [rows] rows of head_width float
  const float* v;     // the same
  size_t row_stride;  // floats from one row to the next, of k and of v
  int rows;
  int first_position;
  int head_width;
  KvType kv_type;
  uint8_t* kv_base;
  size_t page_stride;
  const uint32_t* page_table;
};

// Panels [begin, end) of a packed matrix.
struct PanelRange {
  int begin;
  int end;
};

// What a matrix of integer codes with one 16-bit scale per 32 inputs looks like, apart from GGUF's
// types: w = scale * (code - zero).
struct GroupedCodes {
  int bits;              // 4 or 8
  bool has_zeros;        // 4 bits only: each group has a zero of its own; else it is 8 or 128
  bool scales_are_bf16;  // else float16
};

// Up to 16 rows of such a matrix, about to become a panel. Rows are contiguous.
struct GroupedRows {
  const uint8_t* codes;    // [count, k], below 2^bits
  const uint16_t* scales;  // [count, ceil(k / 32)] float16 or bfloat16 bits
  const uint8_t* zeros;    // [count, ceil(k / 32)], at most 128; null without has_zeros
  int count;
};

}  // namespace inferno::kernel
