// The two products of attention where the cache holds floats: queries by keys, weights by values.
//
//   scores  tile x 64   a chain over e of fma(broadcast x[e], 16 keys)
//   sums    tile x E    a chain over j of fma(broadcast p[j], 16 values)
//
// Each vector of keys or values is converted once per tile, while the registers hold the tile's
// results. Kv says how elements are read, and whether the next block is asked into the cache.
#pragma once

#include "kernel/isa/attend_block.h"

namespace inferno::kernel::INFERNO_ISA {

struct F32 {
  using Element = float;
  static constexpr bool kAsksAhead = true;
  static Floats load(const float* p) { return INFERNO_ISA::load(p); }
};
struct F16 {
  using Element = uint16_t;
  static constexpr bool kAsksAhead = true;
  static Floats load(const uint16_t* p) { return load_f16(p); }
};
struct BF16 {
  using Element = uint16_t;
  static constexpr bool kAsksAhead = true;
  static Floats load(const uint16_t* p) { return load_bf16(p); }
};
// A block for many tiles: converted beforehand, and the next one is asked for elsewhere.
struct Converted {
  using Element = float;
  static constexpr bool kAsksAhead = false;
  static Floats load(const float* p) { return INFERNO_ISA::load(p); }
};

// Raw scores of `kPages` pages from `first_page` on.
template <typename Kv, int kPairs, int kPages>
inline void score_pages(const Tile& tile, const Block& block, int first_page, int width) {
  using Element = typename Kv::Element;
  constexpr int kPerLine = static_cast<int>(64 / (kPagePositions * sizeof(Element)));
  const Element* keys[kPages];
  const Element* next[kPages];
  const float* q = static_cast<const float*>(tile.queries);
  Floats sum[kPairs][kPages];
  unroll<0, kPages>([&](auto p) INFERNO_INLINE {
    keys[p] = reinterpret_cast<const Element*>(block.page[first_page + p]);
    next[p] = reinterpret_cast<const Element*>(block.next[first_page + p]);
  });
  unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
    unroll<0, kPages>([&](auto p) INFERNO_INLINE { sum[m][p] = zero(); });
  });
  for (int e = 0; e < width; e += kPerLine) {
    if constexpr (Kv::kAsksAhead) {
      unroll<0, kPages>([&](auto p) INFERNO_INLINE { prefetch(next[p] + e * kPagePositions); });
    }
    unroll<0, kPerLine>([&](auto i) INFERNO_INLINE {
      Floats k[kPages];
      unroll<0, kPages>(
          [&](auto p) INFERNO_INLINE { k[p] = Kv::load(keys[p] + (e + i) * kPagePositions); });
      unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
        const Floats qe = set1(q[i * kPairs + m]);
        unroll<0, kPages>([&](auto p) INFERNO_INLINE { sum[m][p] = fma(qe, k[p], sum[m][p]); });
      });
    });
    q += kPerLine * kPairs;
  }
  unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
    float* scores = tile.weights + m * kBlockPositions + first_page * kPagePositions;
    unroll<0, kPages>([&](auto p)
                          INFERNO_INLINE { store(scores + p * kPagePositions, sum[m][p]); });
  });
}

// sums[m][e .. e + 16 kVectors) become theirs times shrinks[m], + weights[m][j] * v_j for j in
// [range.begin, range.end). A branch for sums that do not shrink would be guessed wrong too often.
template <typename Kv, int kPairs, int kVectors>
inline void add_values_at(const Tile& tile, const Block& block, Range range, int width, int e) {
  using Element = typename Kv::Element;
  constexpr int kPerLine = static_cast<int>(64 / sizeof(Element));
  Floats sum[kPairs][kVectors];
  float* sums = tile.sums + e;
  unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
    unroll<0, kVectors>([&](auto n) INFERNO_INLINE {
      const float* from = sums + static_cast<size_t>(m) * tile.sum_stride + n * 16;
      sum[m][n] = mul(load(from), set1(tile.shrinks[m]));
    });
  });
  for (int page = range.begin / kPagePositions; page * kPagePositions < range.end; ++page) {
    const int first = page * kPagePositions;
    const ptrdiff_t to_values = static_cast<ptrdiff_t>(width) * kPagePositions + e;
    const Element* values = reinterpret_cast<const Element*>(block.page[page]) + to_values;
    const Element* next = reinterpret_cast<const Element*>(block.next[page]) + to_values;
    const float* weights = tile.weights + first;
    const int begin = larger(range.begin - first, 0);
    const int end = smaller(range.end - first, kPagePositions);
    for (int j = begin; j < end; ++j) {
      Floats v[kVectors];
      unroll<0, kVectors>([&](auto n)
                              INFERNO_INLINE { v[n] = Kv::load(values + j * width + n * 16); });
      if constexpr (Kv::kAsksAhead) {
        for (int n = 0; n < kVectors * 16; n += kPerLine)
          prefetch(next + j * width + n);
      } else if (kPairs > 1 && j < kPairs) {  // a tile follows, and its results left the L1 cache
        const int m = kPairs + j;
        prefetch_near(weights + m * kBlockPositions);
        prefetch_near(sums + static_cast<size_t>(m) * tile.sum_stride + page * 16);
      }
      unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
        const Floats w = set1(weights[m * kBlockPositions + j]);
        unroll<0, kVectors>([&](auto n) INFERNO_INLINE { sum[m][n] = fma(w, v[n], sum[m][n]); });
      });
    }
  }
  unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
    unroll<0, kVectors>([&](auto n) INFERNO_INLINE {
      store(sums + static_cast<size_t>(m) * tile.sum_stride + n * 16, sum[m][n]);
    });
  });
}

template <typename Kv, int kPairs>
void add_values(const Tile& tile, const Block& block, Range range, int width) {
  constexpr int kVectors = vectors_per_pair(kPairs);
  int e = 0;
  for (; e + 16 * kVectors <= width; e += 16 * kVectors)
    add_values_at<Kv, kPairs, kVectors>(tile, block, range, width, e);
  for (; e < width; e += 16)
    add_values_at<Kv, kPairs, 1>(tile, block, range, width, e);
}

// The values of all pairs, each over its own range: hidden values are not touched, since they may
// be NaN. What all pairs see is done at once, the rest pair by pair.
template <typename Kv, int kPairs>
void add_all_values(const Tile& tile, const Block& block, int width) {
  const Range* ranges = tile.ranges;
  bool alike = true;
  for (int m = 1; m < kPairs; ++m)
    alike = alike && ranges[m].begin == ranges[0].begin && ranges[m].end == ranges[0].end;
  if (alike) return add_values<Kv, kPairs>(tile, block, ranges[0], width);
  float ones[kMostPairs];
  const Tile shrunk = shrink_sums(tile, width, ones);
  Range common = {0, kBlockPositions};
  for (int m = 0; m < kPairs; ++m) {
    common.begin = larger(common.begin, ranges[m].begin);
    common.end = smaller(common.end, ranges[m].end);
  }
  if (common.begin >= common.end) common = {kBlockPositions, kBlockPositions};
  for (int m = 0; m < kPairs; ++m) {
    const Range before = {ranges[m].begin, smaller(ranges[m].end, common.begin)};
    if (before.begin < before.end) add_values<Kv, 1>(only(shrunk, m), block, before, width);
  }
  if (common.begin < common.end) add_values<Kv, kPairs>(shrunk, block, common, width);
  for (int m = 0; m < kPairs; ++m) {
    if (common.end < ranges[m].end) {
      add_values<Kv, 1>(only(shrunk, m), block, {common.end, ranges[m].end}, width);
    }
  }
}

// Where the floats of a block go, unless it holds floats: the keys of page p to [p] of `floats`
// [4 + 1, 16 E], its values to [p + 1]. Keys give way to values, so that both are written where the
// L1 cache has been.
template <typename Kv>
Block block_of_floats(const Block& block, int width, float* floats) {
  Block result = block;
  if constexpr (__is_same(Kv, F32)) return result;
  for (int p = 0; p < block.pages; ++p)
    result.page[p] = reinterpret_cast<const uint8_t*>(floats + p * kPagePositions * width);
  return result;
}

// Converts the keys (at element 0) or values (at element 16 E) of a block.
template <typename Kv>
void convert(const Block& block, const Block& floats, int first, int width) {
  if constexpr (__is_same(Kv, F32)) return;
  const int count = kPagePositions * width;
  for (int p = 0; p < block.pages; ++p) {
    const auto* from = reinterpret_cast<const typename Kv::Element*>(block.page[p]) + first;
    float* to = reinterpret_cast<float*>(const_cast<uint8_t*>(floats.page[p])) + first;
    for (int i = 0; i < count; i += 64) {
      unroll<0, 4>([&](auto n)
                       INFERNO_INLINE { store(to + i + n * 16, Kv::load(from + i + n * 16)); });
    }
  }
}

}  // namespace inferno::kernel::INFERNO_ISA
