// The two products of attention where the cache holds int8: exact integers, two products per lane
// and instruction.
//
//   queries  int16 pairs (2 i, 2 i + 1)    x ~= scale * integer, up to 32767
//   scores   tile x 64   sum over pairs of elements, exact: 32767 * 127 * 512 < 2^31
//   weights  p_j * (value scale j) ~= scale * integer, up to 32767, one scale per pair and block
//   sums     tile x E    sum over pairs of positions, exact
//
// Hidden positions have the weight 0, whatever their bytes are: integers know no NaN.
#pragma once

#include "kernel/isa/attend_block.h"

namespace inferno::kernel::INFERNO_ISA {

struct Int8 {
  static constexpr bool kAsksAhead = true;
};

inline constexpr float kLargestInteger = 32767.0f;
// Below this the reciprocal would overflow: as good as nothing.
inline constexpr float kSmallestScaled = 0x1p-100f;

// Scales of a page: 16 of the keys, then 16 of the values.
inline const float* scales_of(const uint8_t* page, int width) {
  return reinterpret_cast<const float*>(page + 2 * kPagePositions * static_cast<ptrdiff_t>(width));
}

template <typename Kv, int kPairs, int kPages>
  requires __is_same
(Kv, Int8) inline void score_pages(const Tile& tile, const Block& block, int first_page,
                                   int width) {
  constexpr int kPairBytes = 2 * kPagePositions;
  const int8_t* keys[kPages];
  const uint8_t* next[kPages];
  const int32_t* q = static_cast<const int32_t*>(tile.queries);
  Ints sum[kPairs][kPages];
  unroll<0, kPages>([&](auto p) INFERNO_INLINE {
    keys[p] = reinterpret_cast<const int8_t*>(block.page[first_page + p]);
    next[p] = block.next[first_page + p];
    prefetch(scales_of(next[p], width));
    prefetch(scales_of(next[p], width) + kPagePositions);
  });
  unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
    unroll<0, kPages>([&](auto p) INFERNO_INLINE { sum[m][p] = set1_int(0); });
  });
  for (int pair = 0; pair < width / 2; pair += 2) {
    unroll<0, kPages>([&](auto p) INFERNO_INLINE { prefetch(next[p] + pair * kPairBytes); });
    unroll<0, 2>([&](auto i) INFERNO_INLINE {
      Ints k[kPages];
      unroll<0, kPages>([&](auto p) INFERNO_INLINE {
        k[p] = load_int8_pairs(keys[p] + (pair + i) * kPairBytes);
      });
      unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
        const Ints qe = set1_int(q[i * kPairs + m]);
        unroll<0, kPages>(
            [&](auto p) INFERNO_INLINE { sum[m][p] = add_pair_products(sum[m][p], qe, k[p]); });
      });
    });
    q += 2 * kPairs;
  }
  unroll<0, kPages>([&](auto p) INFERNO_INLINE {
    const Floats scales = load(scales_of(block.page[first_page + p], width));
    float* scores = tile.weights + (first_page + p) * kPagePositions;
    unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
      store(scores + m * kBlockPositions,
            mul(to_float(sum[m][p]), mul(scales, set1(tile.scales[m]))));
    });
  });
}

// Makes integers of pair m's weights.
inline void round_weights(const Tile& tile, const Block& block, int m, int width) {
  float* weights = tile.weights + m * kBlockPositions;
  Floats largest = zero();
  for (int p = 0; p < block.pages; ++p) {
    const Floats scales = load(scales_of(block.page[p], width) + kPagePositions);
    // A hidden position's scale may be NaN: the second operand of max() is what then remains.
    const Floats scaled = max(mul(load(weights + p * kPagePositions), scales), zero());
    store(weights + p * kPagePositions, scaled);
    largest = max(scaled, largest);
  }
  const float top = reduce_max(largest);
  const Floats factor = set1(top >= kSmallestScaled ? kLargestInteger / top : 0.0f);
  for (int p = 0; p < block.pages; ++p) {
    const Floats scaled = mul(load(weights + p * kPagePositions), factor);
    const Floats bounded = min(max(scaled, zero()), set1(kLargestInteger));
    store_int16(tile.integers + m * kBlockPositions + p * kPagePositions, to_int(bounded));
  }
  tile.integer_scale[m] = top * (1.0f / kLargestInteger);
}

template <int kPairs, int kVectors>
inline void add_int8_values_at(const Tile& tile, const Block& block, int width, int e) {
  Ints sum[kPairs][kVectors];
  unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
    unroll<0, kVectors>([&](auto n) INFERNO_INLINE { sum[m][n] = set1_int(0); });
  });
  for (int p = 0; p < block.pages; ++p) {
    const ptrdiff_t to_values = static_cast<ptrdiff_t>(width) * kPagePositions + 2 * e;
    const int8_t* values = reinterpret_cast<const int8_t*>(block.page[p]) + to_values;
    const uint8_t* next = block.next[p] + to_values;
    const int32_t* weights = reinterpret_cast<const int32_t*>(tile.integers + p * kPagePositions);
    for (int j = 0; j < kPagePositions / 2; ++j) {
      Ints v[kVectors];
      unroll<0, kVectors>([&](auto n) INFERNO_INLINE {
        v[n] = load_int8_pairs(values + 2 * (j * width + n * 16));
      });
      for (int n = 0; n < kVectors * 32; n += 64)
        prefetch(next + 2 * j * width + n);
      unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
        const Ints w = set1_int(weights[m * (kBlockPositions / 2) + j]);
        unroll<0, kVectors>(
            [&](auto n) INFERNO_INLINE { sum[m][n] = add_pair_products(sum[m][n], w, v[n]); });
      });
    }
  }
  unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
    const Floats scale = set1(tile.integer_scale[m]);
    float* sums = tile.sums + static_cast<size_t>(m) * tile.sum_stride + e;
    unroll<0, kVectors>([&](auto n) INFERNO_INLINE {
      const Floats before = mul(load(sums + n * 16), set1(tile.shrinks[m]));
      store(sums + n * 16, fma(to_float(sum[m][n]), scale, before));
    });
  });
}

template <int kPairs>
void add_int8_values(const Tile& tile, const Block& block, int width) {
  constexpr int kVectors = vectors_per_pair(kPairs);
  int e = 0;
  for (; e + 16 * kVectors <= width; e += 16 * kVectors)
    add_int8_values_at<kPairs, kVectors>(tile, block, width, e);
  for (; e < width; e += 16)
    add_int8_values_at<kPairs, 1>(tile, block, width, e);
}

// The values of all pairs that see something of the block.
template <typename Kv, int kPairs>
  requires __is_same
(Kv, Int8) void add_all_values(const Tile& tile, const Block& block, int width) {
  const Range* ranges = tile.ranges;
  bool all = true;
  for (int m = 0; m < kPairs; ++m) {
    const bool sees = ranges[m].begin < ranges[m].end;
    if (sees) round_weights(tile, block, m, width);
    all = all && sees;
  }
  if (all) return add_int8_values<kPairs>(tile, block, width);
  for (int m = 0; m < kPairs; ++m) {
    if (ranges[m].begin < ranges[m].end) add_int8_values<1>(only(tile, m), block, width);
  }
}

}  // namespace inferno::kernel::INFERNO_ISA
