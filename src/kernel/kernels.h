// The table of arithmetic that one instruction set offers. Every function works on plain arrays,
// holds no state, starts no thread and allocates nothing; callers split the work over threads by
// outputs.
//
// Determinism: each output element is computed by one fixed sequence of roundings, written at the
//              function,
// that does not depend on the instruction set, on the other rows or on how the work was split. All
// tables give the same bits; tests beside it hold every table to the plain one.
#pragma once

#include "kernel/types.h"

namespace inferno::kernel {

// In order: each later one is faster where the CPU has it. kAmx is kAvx512 with other matrix
// products.
enum class Isa : uint8_t { kPlain, kAvx2, kAvx512, kAmx };

// All of them, in that order.
inline constexpr Isa kIsas[] = {Isa::kPlain, Isa::kAvx2, Isa::kAvx512, Isa::kAmx};

// "plain", "avx2", "avx512", "amx".
const char* name_of(Isa isa);

struct KernelTable {
  Isa isa;

  // --- matrix products
  // ------------------------------------------------------------------------------------- y[m, n] =
  // sum over k of x[m, k] * W[n, k] for the outputs that `out` names.
  //   kF32 kF16       t = 0; for k ascending: t = fma(x[k], w[k], t)
  //   kBF16           t = 0; for blocks of 32 k ascending, the last one filled up with zeros:
  //                     e = 0; for even k of the block ascending: e = fma(x[k], w[k], e)
  //                     o = 0; for odd k of the block ascending: o = fma(x[k], w[k], o)
  //                     t = t + (e + o)
  //                   x rounded to bfloat16. Everything to nearest even, denormal operands as zeros
  //                   and denormal results flushed to zeros, whatever the thread's MXCSR says: what
  //                   TDPBF16PS does.
  //   kQ4 kQ5 kQ8     t = 0; for groups g of 32 ascending:
  //                     dot = sum of (code - zero_point) * q           exact int32 (codebook value
  //                     if there is one)
  //                     t = fma(float(dot), scale_w[g] * scale_x[g], t)
  //                     with a minimum: t = fma(float(sum of q) * scale_x[g], minimum[g], t)
  //   kQ2K ... kQ6K, kCodebook4K, kCodebook4KFine, kTernaryK
  //                   t = 0; for super-blocks b of 256 ascending:
  //                     isum = sum over sub-blocks of sub_scale * dot  exact int32
  //                     msum = sum over sub-blocks of sub_min * sum(q) exact int32 (formats with
  //                     minima)
  //                     u = float(isum) * d; with minima: u = fma(float(msum), -dmin, u)
  //                     t = fma(u, scale_x[b], t)
  //   last            y = t, or y = y + t with out.accumulate
  // scratch: at least kMatmulScratchBytes bytes aligned to 64, of the calling thread.
  void (*matmul)(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                 uint8_t* scratch);

  // Quantizes rows [row_begin, row_end) of x [rows, out.k] float into `out`, whose block is 32 or
  // 256.
  // scale = max|x| / 127 over the block; q = round to nearest even of x * (127 / max|x|). A block
  // that holds an infinity or a NaN, or nothing above 2^-100, becomes zeros with scale 0.
  void (*quantize_rows)(const float* x, size_t x_stride, int row_begin, int row_end,
                        const QuantizedRows& out);

  // Rounds rows [row_begin, row_end) of x [rows, out.k] float into `out`.
  void (*round_rows)(const float* x, size_t x_stride, int row_begin, int row_end,
                     const RoundedRows& out);

  // --- attention
  // For each row and head, with x = q * (scale * log2 e):
  //   scores    s_j = chain over e ascending of fma(x[e], k_j[e]); with a softcap x = q * scale and
  //             s_j = (cap * log2 e) * tanh(chain / cap)
  //   blocks    of 64 absolute positions, ascending inside a span (types.h, span_positions):
  //             m' = max(m, max s), c = w(m - m'), p_j = w(s_j - m'), where w(d) = 2^max(d, -100) -
  //             2^-100; lane i of l = l * c + the p_j of the lane (j mod 16 = i) ascending;
  //             acc[e] = acc[e] * c, then fma(p_j, v_j[e]) for j ascending
  //   spans     each from m = -infinity, l = 0, acc = 0; then put together ascending into a state
  //             that starts empty, or with the sink as m and weight 1:
  //             m' = max(m, m_span), l = fma(l_span, w(m_span - m'), l * w(m - m')), acc alike
  //   out       acc / (fixed 16-lane tree sum of l)
  // kInt8: x becomes integers of up to 32767 with a scale per row and head, and s_j = (exact dot) *
  // (key scale * x scale); in a block p_j * value scale become integers of up to 32767 with one
  // scale, and acc = fma(exact sum, that scale, acc * c).
  // Positions outside [max(0, pos - window + 1), pos] take no part, whatever their bytes are.
  // scratch: kAttentionScratchBytes of the calling thread, aligned to 64.
  void (*attend)(const AttentionInput& in, uint8_t* scratch);

  // The same in two steps, so that threads can share the spans of a row: attend_spans() computes
  // spans [spans.begin, spans.end) into `states`, float [span - spans.begin, row, head,
  // kStateHeaderFloats + E]; merge_spans() puts the states of `spans`, all that the rows see,
  // together and writes the result. That gives the bits of attend(). States of spans that a row
  // does not see are not read.
  // Requires: all rows have the same span_positions().
  void (*attend_spans)(const AttentionInput& in, SpanRange spans, float* states, uint8_t* scratch);
  void (*merge_spans)(const AttentionInput& in, SpanRange spans, const float* states,
                      uint8_t* scratch);

  // Writes keys and values into their pages, converted to the cache's type: rounded to nearest
  // even; kInt8 as quantize_rows() does it, the head being the block.
  void (*store_kv)(const KvRows& rows);

  // --- rows of floats
  // out = x / sqrt(mean(x^2) + eps) * weight; the sum of squares over 16 lanes (lane = index mod
  // 16, fma in ascending order), lanes added as a fixed tree (8, 4, 2, 1). out may be x.
  void (*rms_norm)(const float* x, const float* weight, float eps, int width, float* out);

  // Rotates the first `rotary_width` elements of a head in place by cos/sin [rotary_width / 2] of
  // its position.
  // interleaved: pairs (2i, 2i + 1); neox: pairs (i, i + rotary_width / 2)
  void (*rope_interleaved)(float* head, const float* cos, const float* sin, int rotary_width);
  void (*rope_neox)(float* head, const float* cos, const float* sin, int rotary_width);

  void (*add)(float* y, const float* x, int count);                // y += x
  void (*multiply_scalar)(float* y, float factor, int count);      // y *= factor
  void (*silu_multiply)(float* gate, const float* up, int count);  // gate = silu(gate) * up
  void (*gelu_tanh_multiply)(float* gate, const float* up,
                             int count);  // gate = gelu_tanh(gate) * up
  // gate = (up + 1) * g / (1 + e^(-alpha g)), where g is gate with the limit as its maximum and up
  // is cut off at both ends; NaN stays NaN.
  void (*clamped_swiglu)(float* gate, const float* up, int count, const ClampedSwiglu& rule);
  void (*softcap)(float* y, float cap, int count);  // y = cap * tanh(y / cap)

  // Largest element and the lowest index that holds it; NaN is never the largest.
  void (*argmax)(const float* x, int count, int* index, float* value);
  // maxima[b] = the largest of the elements [b * kMaximaBlock, (b + 1) * kMaximaBlock) of x, the
  // last block being shorter; NaN counts as -infinity.
  void (*block_maxima)(const float* x, int count, float* maxima);
  // Sum of exp(x - maximum), 16 lanes as in rms_norm, in float; what is below e^-87 counts as 0.
  // Requires: no x is above maximum.
  float (*sum_exp)(const float* x, int count, float maximum);

  // --- what the machine can do at most (isa/peak.h)
  // ---------------------------------------------------------- Reads every byte once and returns a
  // checksum. Requires: bytes a multiple of 256.
  uint64_t (*read_stream)(const uint8_t* data, size_t bytes);
  // 8-bit products on registers; returns the operations done.
  uint64_t (*int8_products)(int iterations, int32_t* sink);
  // What multiplies kBF16, on registers; returns the operations done.
  uint64_t (*bf16_products)(int iterations, float* sink);
};

// Elements that share a maximum of block_maxima(): a row of 150,000 logits has some 300 of them,
// and the few that hold its largest are looked through in no time.
inline constexpr int kMaximaBlock = 512;

inline constexpr size_t kMatmulScratchBytes = 1600 * 1024;
inline constexpr size_t kAttentionScratchBytes = 512 * 1024;

// The table of an instruction set; null when this build or this CPU does not have it. kPlain is
// always there.
const KernelTable* table(Isa isa);

// The best table this CPU can run.
const KernelTable& best_table();

// --- formats (formats.h has the details)

// What a tensor [n, k] of a file's type becomes when packed. Returns false when the type cannot be
// multiplied with (integers, or k not a multiple of the type's block).
bool packed_shape(TensorType type, int n, int k, PackedMatrix* shape);
size_t packed_bytes(const PackedMatrix& shape);
ActivationKind activation_kind(PackedFormat format);

// What RoundedRows of so many rows take, a multiple of 64.
size_t rounded_bytes(int rows, int k);

// Packs `panels` of a tensor's rows (its bytes as in the file) into `data`.
// Different panels may be packed by different threads. Exact: no value changes.
void pack_panels(TensorType type, const uint8_t* tensor, const PackedMatrix& shape, uint8_t* data,
                 PanelRange panels);

// What a matrix [n, k] of such codes becomes when packed. False when k is not a multiple of 32, or
// for bits other than those GroupedCodes allows.
bool grouped_shape(const GroupedCodes& codes, int n, int k, PackedMatrix* shape);

// Packs rows of such codes as one panel at `panel`, shape.panel_bytes bytes. Exact. Requires: shape
// comes from grouped_shape() with what `rows` has.
void pack_grouped_panel(const GroupedRows& rows, const PackedMatrix& shape, uint8_t* panel);

// The float values of `count` elements (a multiple of the type's block) of a tensor's bytes. False
// for a type that has no float meaning here.
bool dequantize(TensorType type, const uint8_t* data, size_t count, float* out);

}  // namespace inferno::kernel
