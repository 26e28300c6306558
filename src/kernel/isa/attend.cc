// Attention of query rows over paged keys and values, for one key/value head.
//
//   for chunks of up to 64 (row, head) pairs            their accumulators stay in the L2 cache
//     for blocks of 64 absolute positions, ascending    4 pages
//       for tiles of up to kTilePairs pairs
//         scores   tile x 64, a chain over e of fma(broadcast q[e], 16 keys)
//         weights  block maximum, weight_of(), sum      one pair at a time
//         values   tile x E, a chain over j of fma(broadcast p[j], 16 values)
//
// A key or value is loaded once per tile; the first tile of a block prefetches the next block.
//
// Invariant: what a pair computes depends on its own position only. Blocks lie at absolute
// positions; a pair skips blocks it sees nothing of; in a block it sees in part, hidden scores
// count as -infinity and hidden values are not multiplied at all (they may be NaN, or belong to
// nobody yet). The values of a tile are accumulated together only over the positions that all its
// pairs see.
//
// A sink is where the running maximum starts, with weight 1 and no value.
#include "kernel/isa/attend.h"

#include "kernel/isa/softmax.h"
#include "kernel/isa/unroll.h"
#include "kernel/isa/vec.h"

namespace inferno::kernel::INFERNO_ISA {
namespace {

constexpr int kBlockPositions = 64;
constexpr int kBlockPages = kBlockPositions / kPagePositions;
constexpr int kChunkPairs = 64;

// Tile shapes that fill the registers: scores take kTilePairs * kScorePages accumulators, values
// kTilePairs * kValueVectors. AVX-512 has 32 registers; AVX2 has 16 of half the width.
#if defined(INFERNO_ISA_AVX512)
constexpr int kTilePairs = 6;
constexpr int kScorePages = 4;
constexpr int kValueVectors = 4;
#else
constexpr int kTilePairs = 4;
constexpr int kScorePages = 1;
constexpr int kValueVectors = 1;
#endif

constexpr float kInfinity = __builtin_inff();

// How the elements of the cache are read.
struct F32 {
  using Element = float;
  static Floats load(const float* p) { return INFERNO_ISA::load(p); }
};
struct F16 {
  using Element = uint16_t;
  static Floats load(const uint16_t* p) { return load_f16(p); }
};

// One query head of one row, and what it has seen so far.
struct Pair {
  const float* q;
  float* out;
  float* sum;     // [E] weighted sum of values
  float* weight;  // [64] weights of the block at hand
  int begin;      // sees the absolute positions [begin, end)
  int end;
  float maximum;
  float total;  // sum of weights
};

// Positions of a block that a pair sees, relative to the block; empty: begin == end.
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
  Pair* pairs;
  int count;
};

// Whether loops ask the next block into the cache as they go; a template argument, so that the
// others pay nothing for it.
enum class Prefetch : uint8_t { kNo, kNext };

// What of the scratch belongs to whom; 64 x (512 + 64) floats and the pairs fit in
// kAttentionScratchBytes.
struct Workspace {
  Pair* pairs;     // [64]
  float* weights;  // [64, 64]
  float* sums;     // [64, E]
};

Workspace lay_out(uint8_t* scratch) {
  Workspace w;
  w.weights = reinterpret_cast<float*>(scratch);
  w.sums = w.weights + kChunkPairs * kBlockPositions;
  w.pairs = reinterpret_cast<Pair*>(w.sums + kChunkPairs * kMaxHeadWidth);
  return w;
}

inline int smaller(int a, int b) {
  return a < b ? a : b;
}
inline int larger(int a, int b) {
  return a > b ? a : b;
}

inline Range seen(const Pair& pair, const Block& block) {
  const int begin = larger(0, pair.begin - block.first_position);
  const int end = smaller(kBlockPositions, pair.end - block.first_position);
  return begin < end ? Range{begin, end} : Range{0, 0};
}

inline void prefetch(const void* p) {
  __builtin_prefetch(p, 0, 2);
}

// weight[m][0..63] of the tile = q[m] . k for the positions of `kPages` pages from `first_page` on.
template <typename Kv, Prefetch kPrefetch, int kPairs, int kPages>
inline void score_pages(const Tile& tile, const Block& block, int first_page, int width) {
  using Element = typename Kv::Element;
  constexpr int kPerLine = static_cast<int>(64 / (kPagePositions * sizeof(Element)));
  const Element* keys[kPages];
  const Element* next[kPages];
  const float* q[kPairs];
  Floats sum[kPairs][kPages];
  unroll<0, kPages>([&](auto p) INFERNO_INLINE {
    keys[p] = reinterpret_cast<const Element*>(block.page[first_page + p]);
    next[p] = reinterpret_cast<const Element*>(block.next[first_page + p]);
  });
  unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
    q[m] = tile.pairs[m].q;
    unroll<0, kPages>([&](auto p) INFERNO_INLINE { sum[m][p] = zero(); });
  });
  for (int e = 0; e < width; ++e) {
    Floats k[kPages];
    unroll<0, kPages>([&](auto p)
                          INFERNO_INLINE { k[p] = Kv::load(keys[p] + e * kPagePositions); });
    if (kPrefetch == Prefetch::kNext && e % kPerLine == 0) {
      unroll<0, kPages>([&](auto p) INFERNO_INLINE { prefetch(next[p] + e * kPagePositions); });
    }
    unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
      const Floats qe = set1(q[m][e]);
      unroll<0, kPages>([&](auto p) INFERNO_INLINE { sum[m][p] = fma(qe, k[p], sum[m][p]); });
    });
  }
  unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
    float* weight = tile.pairs[m].weight + first_page * kPagePositions;
    unroll<0, kPages>([&](auto p)
                          INFERNO_INLINE { store(weight + p * kPagePositions, sum[m][p]); });
  });
}

template <typename Kv, Prefetch kPrefetch, int kPairs>
void score(const Tile& tile, const Block& block, int width) {
  int page = 0;
  for (; page + kScorePages <= block.pages; page += kScorePages) {
    score_pages<Kv, kPrefetch, kPairs, kScorePages>(tile, block, page, width);
  }
  for (; page < block.pages; ++page) {
    score_pages<Kv, kPrefetch, kPairs, 1>(tile, block, page, width);
  };
}

// Turns a pair's raw scores into weights, and brings its maximum, total and sum of values up to
// date.
void weigh(const AttentionInput& in, Pair& pair, Range range) {
  const Floats factor = set1(in.scale);
  const Floats cap = set1(in.softcap);
  const Floats hidden = set1(-kInfinity);
  Floats s[kBlockPages];
  Lanes visible[kBlockPages];
  Floats top = hidden;
  for (int p = 0; p < kBlockPages; ++p) {
    const Ints position = add_int(lane_numbers(), set1_int(p * kPagePositions));
    visible[p] = both(less_int(set1_int(range.begin - 1), position),
                      less_int(position, set1_int(range.end)));
    s[p] = mul(load(pair.weight + p * kPagePositions), factor);
    if (in.softcap != 0.0f) s[p] = mul(cap, tanh(div(s[p], cap)));
    s[p] = select(visible[p], s[p], hidden);
    top = max(top, s[p]);
  }
  const float block_maximum = reduce_max(top);
  const float maximum = block_maximum > pair.maximum ? block_maximum : pair.maximum;
  const float base =
      maximum == -kInfinity ? 0.0f : maximum;  // every score -infinity: no NaN from it
  Floats total = zero();
  for (int p = 0; p < kBlockPages; ++p) {
    s[p] = select(visible[p], weight_of(sub(s[p], set1(base))), zero());
    store(pair.weight + p * kPagePositions, s[p]);
    total = add(total, s[p]);
  }
  const Floats shrink = weight_of(set1(pair.maximum - base));
  float shrink_lanes[16];
  store(shrink_lanes, shrink);
  pair.maximum = maximum;
  pair.total = pair.total * shrink_lanes[0] + reduce_add(total);
  if (shrink_lanes[0] != 1.0f) {
    for (int e = 0; e < in.head_width; e += 16) {
      store(pair.sum + e, mul(load(pair.sum + e), shrink));
    }
  }
}

// sum[m][e..e + 16 kVectors) += weight[m][j] * v_j for j in [range.begin, range.end) of the block.
template <typename Kv, Prefetch kPrefetch, int kPairs, int kVectors>
inline void add_values_at(const Tile& tile, const Block& block, Range range, int width, int e) {
  using Element = typename Kv::Element;
  constexpr int kPerLine = static_cast<int>(64 / sizeof(Element));
  Floats sum[kPairs][kVectors];
  const float* weight[kPairs];
  unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
    weight[m] = tile.pairs[m].weight;
    unroll<0, kVectors>([&](auto n)
                            INFERNO_INLINE { sum[m][n] = load(tile.pairs[m].sum + e + n * 16); });
  });
  for (int page = range.begin / kPagePositions; page * kPagePositions < range.end; ++page) {
    const int first = page * kPagePositions;
    const ptrdiff_t to_values = static_cast<ptrdiff_t>(width) * kPagePositions + e;
    const Element* values = reinterpret_cast<const Element*>(block.page[page]) + to_values;
    const Element* next = reinterpret_cast<const Element*>(block.next[page]) + to_values;
    const int begin = larger(range.begin - first, 0);
    const int end = smaller(range.end - first, kPagePositions);
    for (int j = begin; j < end; ++j) {
      Floats v[kVectors];
      unroll<0, kVectors>([&](auto n)
                              INFERNO_INLINE { v[n] = Kv::load(values + j * width + n * 16); });
      if (kPrefetch == Prefetch::kNext) {
        for (int n = 0; n < kVectors * 16; n += kPerLine)
          prefetch(next + j * width + n);
      }
      unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
        const Floats w = set1(weight[m][first + j]);
        unroll<0, kVectors>([&](auto n) INFERNO_INLINE { sum[m][n] = fma(w, v[n], sum[m][n]); });
      });
    }
  }
  unroll<0, kPairs>([&](auto m) INFERNO_INLINE {
    unroll<0, kVectors>([&](auto n)
                            INFERNO_INLINE { store(tile.pairs[m].sum + e + n * 16, sum[m][n]); });
  });
}

template <typename Kv, Prefetch kPrefetch, int kPairs>
void add_values(const Tile& tile, const Block& block, Range range, int width) {
  if (range.begin >= range.end) return;
  int e = 0;
  for (; e + 16 * kValueVectors <= width; e += 16 * kValueVectors) {
    add_values_at<Kv, kPrefetch, kPairs, kValueVectors>(tile, block, range, width, e);
  }
  for (; e < width; e += 16) {
    add_values_at<Kv, kPrefetch, kPairs, 1>(tile, block, range, width, e);
  }
}

template <typename Kv, Prefetch kPrefetch, int kPairs>
void attend_tile(const AttentionInput& in, const Tile& tile, const Block& block) {
  const int width = in.head_width;
  score<Kv, kPrefetch, kPairs>(tile, block, width);
  Range ranges[kPairs];
  Range common = {0, kBlockPositions};
  for (int m = 0; m < kPairs; ++m) {
    ranges[m] = seen(tile.pairs[m], block);
    common.begin = larger(common.begin, ranges[m].begin);
    common.end = smaller(common.end, ranges[m].end);
    if (ranges[m].begin < ranges[m].end) weigh(in, tile.pairs[m], ranges[m]);
  }
  if (common.begin >= common.end) common = {0, 0};
  for (int m = 0; m < kPairs; ++m) {
    const bool alone = common.end == 0;
    const Range before = {ranges[m].begin, alone ? ranges[m].end : common.begin};
    add_values<Kv, Prefetch::kNo, 1>(Tile{tile.pairs + m, 1}, block, before, width);
  }
  add_values<Kv, kPrefetch, kPairs>(tile, block, common, width);
  for (int m = 0; m < kPairs && common.end != 0; ++m) {
    const Range after = {common.end, ranges[m].end};
    add_values<Kv, Prefetch::kNo, 1>(Tile{tile.pairs + m, 1}, block, after, width);
  }
}

template <typename Kv, Prefetch kPrefetch>
void attend_tile_of_any_size(const AttentionInput& in, const Tile& tile, const Block& block) {
  switch (tile.count) {
    case 1:
      return attend_tile<Kv, kPrefetch, 1>(in, tile, block);
    case 2:
      return attend_tile<Kv, kPrefetch, 2>(in, tile, block);
    case 3:
      return attend_tile<Kv, kPrefetch, 3>(in, tile, block);
    case 4:
      return attend_tile<Kv, kPrefetch, 4>(in, tile, block);
#if defined(INFERNO_ISA_AVX512)
    case 5:
      return attend_tile<Kv, kPrefetch, 5>(in, tile, block);
    case 6:
      return attend_tile<Kv, kPrefetch, 6>(in, tile, block);
#endif
    default:
      return;
  }
}

// The block at `first_position`, of which nobody sees `end_position` or beyond: pages from there on
// may not exist. Pages to prefetch are those of the block after it, or its own where that ends.
Block find_block(const AttentionInput& in, int first_position, int end_position) {
  Block block;
  const int first_page = first_position / kPagePositions;
  const int end_page = (end_position + kPagePositions - 1) / kPagePositions;
  block.first_position = first_position;
  block.pages = smaller(kBlockPages, end_page - first_page);
  for (int p = 0; p < block.pages; ++p) {
    const int page = first_page + p;
    const int next = page + kBlockPages < end_page ? page + kBlockPages : page;
    block.page[p] = in.kv_base + in.page_table[page] * in.page_stride;
    block.next[p] = in.kv_base + in.page_table[next] * in.page_stride;
  }
  return block;
}

template <typename Kv>
void attend_pairs(const AttentionInput& in, Pair* pairs, int count) {
  const int begin = pairs[0].begin / kBlockPositions * kBlockPositions;
  const int end = pairs[count - 1].end;
  const int tiles = (count + kTilePairs - 1) / kTilePairs;
  for (int position = begin; position < end; position += kBlockPositions) {
    const Block block = find_block(in, position, end);
    for (int t = 0; t < tiles; ++t) {
      const int first = count * t / tiles;
      const int last = count * (t + 1) / tiles;
      const bool reached = pairs[last - 1].end > position;
      const bool left = pairs[first].begin >= position + kBlockPositions;
      if (!reached || left) continue;
      const Tile tile = {pairs + first, last - first};
      if (t == 0) {
        attend_tile_of_any_size<Kv, Prefetch::kNext>(in, tile, block);
      } else {
        attend_tile_of_any_size<Kv, Prefetch::kNo>(in, tile, block);
      }
    }
  }
}

void start(const AttentionInput& in, const Workspace& work, int index, int row, int head) {
  Pair& pair = work.pairs[index];
  const ptrdiff_t column = static_cast<ptrdiff_t>(in.head_begin + head) * in.head_width;
  const int position = in.first_position + row;
  pair.q = in.q + static_cast<size_t>(row) * in.q_row_stride + column;
  pair.out = in.out + static_cast<size_t>(row) * in.out_row_stride + column;
  pair.sum = work.sums + static_cast<ptrdiff_t>(index) * in.head_width;
  pair.weight = work.weights + index * kBlockPositions;
  pair.begin = in.window > 0 ? larger(0, position - in.window + 1) : 0;
  pair.end = position + 1;
  pair.maximum = in.sinks != nullptr ? in.sinks[head] : -kInfinity;
  pair.total = in.sinks != nullptr ? 1.0f : 0.0f;
  for (int e = 0; e < in.head_width; e += 16)
    store(pair.sum + e, zero());
  for (int p = 0; p < kBlockPages; ++p)
    store(pair.weight + p * kPagePositions, zero());
}

void finish(const Pair& pair, int width) {
  const Floats total = set1(pair.total);
  for (int e = 0; e < width; e += 16)
    store(pair.out + e, div(load(pair.sum + e), total));
}

template <typename Element>
inline Element element_of(float value);
template <>
inline float element_of<float>(float value) {
  return value;
}
template <>
inline uint16_t element_of<uint16_t>(float value) {
  return f16_of_float(value);
}

// Where one position's key and value go.
struct Slot {
  uint8_t* page;
  int index;  // 0 to 15
};

template <typename Element>
void store_position(const float* k, const float* v, int width, Slot slot) {
  Element* keys = reinterpret_cast<Element*>(slot.page) + slot.index;
  Element* values = reinterpret_cast<Element*>(slot.page) + (kPagePositions + slot.index) * width;
  for (int e = 0; e < width; ++e)
    keys[e * kPagePositions] = element_of<Element>(k[e]);
  for (int e = 0; e < width; ++e)
    values[e] = element_of<Element>(v[e]);
}

}  // namespace

void attend(const AttentionInput& in, uint8_t* scratch) {
  const Workspace work = lay_out(scratch);
  const int heads_at_once = smaller(in.group, kChunkPairs);
  const int rows_at_once = kChunkPairs / heads_at_once;
  for (int row = 0; row < in.rows; row += rows_at_once) {
    const int rows = smaller(rows_at_once, in.rows - row);
    for (int head = 0; head < in.group; head += heads_at_once) {
      const int heads = smaller(heads_at_once, in.group - head);
      const int count = rows * heads;
      for (int i = 0; i < count; ++i)
        start(in, work, i, row + i / heads, head + i % heads);
      if (in.kv_type == KvType::kF32) {
        attend_pairs<F32>(in, work.pairs, count);
      } else {
        attend_pairs<F16>(in, work.pairs, count);
      }
      for (int i = 0; i < count; ++i)
        finish(work.pairs[i], in.head_width);
    }
  }
}

void store_kv(const KvRows& in) {
  for (int row = 0; row < in.rows; ++row) {
    const int position = in.first_position + row;
    const Slot slot = {in.kv_base + in.page_table[position / kPagePositions] * in.page_stride,
                       position % kPagePositions};
    const size_t from = static_cast<size_t>(row) * in.row_stride;
    if (in.kv_type == KvType::kF32) {
      store_position<float>(in.k + from, in.v + from, in.head_width, slot);
    } else {
      store_position<uint16_t>(in.k + from, in.v + from, in.head_width, slot);
    }
  }
}

}  // namespace inferno::kernel::INFERNO_ISA
