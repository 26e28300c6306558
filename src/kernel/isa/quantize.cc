// KernelTable::quantize_rows: float activations to int8 with a scale per block and sums per 16.
#include "kernel/isa/matmul.h"
#include "kernel/isa/vec.h"

namespace inferno::kernel::INFERNO_ISA {
namespace {

// Below this the reciprocal of the largest magnitude would overflow; such a block is as good as
// zero.
constexpr float kSmallestMagnitude = 0x1p-100f;
constexpr float kLargestFloat = 0x1.fffffep127f;

// Writes 16 values of [-127, 127] as int8 and returns their sum.
#if defined(INFERNO_ISA_PLAIN)
int store_and_sum_int8(int8_t* q, Ints values) {
  int sum = 0;
  for (int i = 0; i < 16; ++i) {
    q[i] = static_cast<int8_t>(values.lane[i]);
    sum += values.lane[i];
  }
  return sum;
}
#else
int store_and_sum_int8(int8_t* q, Ints values) {
#if defined(INFERNO_ISA_AVX512)
  const __m128i bytes = _mm512_maskz_cvtepi32_epi8(kAllLanes, values.v);
#else
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(values.low, values.high), 0xD8);
  const __m128i bytes =
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
#endif
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q), bytes);
  // Sums of 8 unsigned bytes, value + 128 each.
  const __m128i halves =
      _mm_sad_epu8(_mm_xor_si128(bytes, _mm_set1_epi8(-128)), _mm_setzero_si128());
  return _mm_cvtsi128_si32(_mm_add_epi64(halves, _mm_unpackhi_epi64(halves, halves))) - 16 * 128;
}
#endif

// Quantizes `count` (a multiple of 16) floats; returns the scale.
float quantize_block(const float* x, int count, int8_t* q, int16_t* sum) {
  Floats magnitude = zero();
  Floats poison = zero();  // becomes NaN with the first infinity or NaN
  for (int i = 0; i < count; i += 16) {
    const Floats v = load(x + i);
    magnitude = max(abs(v), magnitude);
    poison = fma(v, zero(), poison);
  }
  const float largest = reduce_max(magnitude);
  const float poisoned = reduce_add(poison);
  const bool usable = largest >= kSmallestMagnitude && largest <= kLargestFloat && poisoned == 0.0f;
  const Floats factor = set1(usable ? 127.0f / largest : 0.0f);
  for (int i = 0; i < count; i += 16) {
    const Ints values = usable ? to_int(mul(load(x + i), factor)) : set1_int(0);
    sum[i / 16] = static_cast<int16_t>(store_and_sum_int8(q + i, values));
  }
  return usable ? largest / 127.0f : 0.0f;
}

}  // namespace

void quantize_rows(const float* x, size_t x_stride, int row_begin, int row_end,
                   const QuantizedRows& out) {
  const size_t k = static_cast<size_t>(out.k);
  const size_t block = static_cast<size_t>(out.block);
  for (size_t row = static_cast<size_t>(row_begin); row < static_cast<size_t>(row_end); ++row) {
    for (size_t at = 0; at < k; at += block) {
      const size_t element = row * k + at;
      out.scale[element / block] = quantize_block(x + row * x_stride + at, out.block,
                                                  out.q + element, out.sum + element / 16);
    }
  }
}

}  // namespace inferno::kernel::INFERNO_ISA
