// Streams and products without a purpose, for measuring what the machine can do in the minute of a
// bench.
#include "kernel/isa/peak.h"

#if defined(INFERNO_ISA_AVX2) || defined(INFERNO_ISA_AVX512)
#include <immintrin.h>
#endif

namespace inferno::kernel::INFERNO_ISA {

#if defined(INFERNO_ISA_AVX512)

uint64_t read_stream(const uint8_t* data, size_t bytes) {
  __m512i sums[4] = {};
  for (size_t i = 0; i < bytes; i += 256) {
    for (size_t j = 0; j < 4; ++j) {
      _mm_prefetch(reinterpret_cast<const char*>(data + i + 1024 + 64 * j), _MM_HINT_T0);
      sums[j] = _mm512_add_epi64(sums[j], _mm512_loadu_si512(data + i + 64 * j));
    }
  }
  const __m512i sum =
      _mm512_add_epi64(_mm512_add_epi64(sums[0], sums[1]), _mm512_add_epi64(sums[2], sums[3]));
  alignas(64) uint64_t lanes[8];
  _mm512_store_si512(lanes, sum);
  uint64_t total = 0;
  for (const uint64_t lane : lanes)
    total += lane;
  return total;
}

uint64_t int8_products(int iterations, int32_t* sink) {
  constexpr int kChains = 16;
  __m512i sums[kChains] = {};
  __m512i a = _mm512_set1_epi8(3);
  const __m512i b = _mm512_set1_epi8(5);
  for (__m512i& sum : sums)
    asm volatile("" : "+v"(sum));  // or the chains would be merged into one
  for (int i = 0; i < iterations; ++i) {
    for (__m512i& sum : sums)
      sum = _mm512_dpbusd_epi32(sum, a, b);
    asm volatile("" : "+v"(a));  // keeps the compiler from seeing that every round is the same
  }
  __m512i total = sums[0];
  for (int i = 1; i < kChains; ++i)
    total = _mm512_add_epi32(total, sums[i]);
  alignas(64) int32_t lanes[16];
  _mm512_store_si512(lanes, total);
  uint32_t lane_sum = 0;
  for (const int32_t lane : lanes)
    lane_sum += static_cast<uint32_t>(lane);
  *sink = static_cast<int32_t>(lane_sum);
  return static_cast<uint64_t>(iterations) * kChains * 64 * 2;
}

uint64_t bf16_products(int iterations, float* sink) {
  constexpr int kChains = 16;
  __m512 sums[kChains] = {};
  __m512 a = _mm512_set1_ps(0.5f);
  for (__m512& sum : sums)
    asm volatile("" : "+v"(sum));
  for (int i = 0; i < iterations; ++i) {
    for (__m512& sum : sums)
      sum = _mm512_fmadd_ps(sum, a, a);
    asm volatile("" : "+v"(a));
  }
  __m512 total = sums[0];
  for (int i = 1; i < kChains; ++i)
    total = _mm512_add_ps(total, sums[i]);
  *sink = _mm512_cvtss_f32(total);
  return static_cast<uint64_t>(iterations) * kChains * 16 * 2;
}

#elif defined(INFERNO_ISA_AVX2)

uint64_t read_stream(const uint8_t* data, size_t bytes) {
  __m256i sums[8] = {};
  for (size_t i = 0; i < bytes; i += 256) {
    for (size_t j = 0; j < 8; ++j) {
      if (j % 2 == 0) {
        _mm_prefetch(reinterpret_cast<const char*>(data + i + 1024 + 32 * j), _MM_HINT_T0);
      }
      const auto* vector = reinterpret_cast<const __m256i*>(data + i + 32 * j);
      sums[j] = _mm256_add_epi64(sums[j], _mm256_loadu_si256(vector));
    }
  }
  alignas(32) uint64_t lanes[4];
  uint64_t total = 0;
  for (const __m256i& sum : sums) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), sum);
    total += lanes[0] + lanes[1] + lanes[2] + lanes[3];
  }
  return total;
}

uint64_t int8_products(int iterations, int32_t* sink) {
  constexpr int kChains = 8;
  __m256i sums[kChains] = {};
  __m256i a = _mm256_set1_epi8(3);
  const __m256i b = _mm256_set1_epi8(5);
  const __m256i ones = _mm256_set1_epi16(1);
  for (__m256i& sum : sums)
    asm volatile("" : "+x"(sum));  // or the chains would be merged into one
  for (int i = 0; i < iterations; ++i) {
    for (__m256i& sum : sums) {
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
    }
    asm volatile("" : "+x"(a));
  }
  alignas(32) int32_t lanes[8];
  uint32_t total = 0;
  for (const __m256i& sum : sums) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), sum);
    for (const int32_t lane : lanes)
      total += static_cast<uint32_t>(lane);
  }
  *sink = static_cast<int32_t>(total);
  return static_cast<uint64_t>(iterations) * kChains * 32 * 2;
}

uint64_t bf16_products(int iterations, float* sink) {
  constexpr int kChains = 12;
  __m256 sums[kChains] = {};
  __m256 a = _mm256_set1_ps(0.5f);
  for (__m256& sum : sums)
    asm volatile("" : "+x"(sum));
  for (int i = 0; i < iterations; ++i) {
    for (__m256& sum : sums)
      sum = _mm256_fmadd_ps(sum, a, a);
    asm volatile("" : "+x"(a));
  }
  __m256 total = sums[0];
  for (int i = 1; i < kChains; ++i)
    total = _mm256_add_ps(total, sums[i]);
  *sink = _mm256_cvtss_f32(total);
  return static_cast<uint64_t>(iterations) * kChains * 8 * 2;
}

#else

uint64_t read_stream(const uint8_t* data, size_t bytes) {
  uint64_t total = 0;
  const auto* words = reinterpret_cast<const uint64_t*>(data);
  for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i)
    total += words[i];
  return total;
}

uint64_t int8_products(int iterations, int32_t* sink) {
  constexpr int kLanes = 64;
  int32_t sums[kLanes] = {};
  int8_t a[kLanes];
  for (int i = 0; i < kLanes; ++i)
    a[i] = static_cast<int8_t>(i % 7);
  for (int i = 0; i < iterations; ++i) {
    const auto b = static_cast<int8_t>(i & 63);
    for (int lane = 0; lane < kLanes; ++lane)
      sums[lane] = (sums[lane] + a[lane] * b) & 0xFFFFFF;
  }
  *sink = 0;
  for (const int32_t sum : sums)
    *sink ^= sum;
  return static_cast<uint64_t>(iterations) * kLanes * 2;
}

uint64_t bf16_products(int iterations, float* sink) {
  constexpr int kLanes = 16;
  float sums[kLanes] = {};
  for (int i = 0; i < iterations; ++i) {
    for (float& sum : sums)
      sum = __builtin_fmaf(sum, 0.5f, static_cast<float>(i & 7));
  }
  *sink = 0.0f;
  for (const float sum : sums)
    *sink += sum;
  return static_cast<uint64_t>(iterations) * kLanes * 2;
}

#endif

}  // namespace inferno::kernel::INFERNO_ISA
