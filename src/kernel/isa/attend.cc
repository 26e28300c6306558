// Attention of query rows over paged keys and values, for one key/value head.
//
//   for chunks of up to 128 (row, head) pairs           their sums stay in the L2 cache
//     for spans, ascending                              each into a state of its own
//       for blocks of 64 absolute positions, ascending  4 pages, converted once for many tiles
//         for tiles of up to kTilePairs pairs, or one of up to kMostPairs
//           scores   tile x 64     attend_floats.h, attend_int8.h
//           maxima   of the tile before
//           weights  of the tile before that: power_weight_of(), sums
//         for the same tiles
//           values   tile x E      attend_floats.h, attend_int8.h
//       the state joins those of the spans before it
//
// A key or value is loaded once per tile, and the next block is asked into the cache meanwhile.
// Scores, maxima and weights each wait for the one before; a tile apart, they do not. The L1 cache
// holds the keys of a block, then its values.
//
// Invariant: what a pair computes depends on its own position only. Blocks and spans lie at
// absolute positions; a pair skips those it sees nothing of; in a block it sees in part, hidden
// scores count as -infinity and hidden values do not enter at all (they may be NaN, or belong to
// nobody yet).
//
// A sink is where the final state starts: as the maximum, with weight 1 and no value.
#include "kernel/isa/attend.h"

#include "kernel/isa/attend_block.h"
#include "kernel/isa/attend_floats.h"
#include "kernel/isa/attend_int8.h"
#include "kernel/isa/softmax.h"

namespace inferno::kernel::INFERNO_ISA {
namespace {

// Pairs of a chunk, and floats of their queries: with their states they fit in the L2 cache
// beside a block, and converting the block costs little beside what so many pairs do with it.
constexpr int kChunkPairs = 128;
constexpr int kChunkFloats = 16384;
constexpr int kLanePadding = 16;  // pairs are read by vectors, whatever their number
constexpr float kInfinity = __builtin_inff();
constexpr float kLog2E = 1.44269504f;

// What one pair has seen of a span, or of all spans so far: kStateHeaderFloats + E floats.
//   [0] maximum   [16, 32) sums of weights, by lane   [32, 32 + E) weighted sum of values
struct State {
  float* at;
  float& maximum() const { return at[0]; }
  float* total() const { return at + 16; }
  float* sum() const { return at + kStateHeaderFloats; }
};

// What of the scratch belongs to whom. Wider heads come in smaller chunks.
struct Workspace {
  float* floats;     // [(4 + 1) pages] of converted keys or values
  uint8_t* queries;  // tile after tile, each as in Tile
  float* scales;     // [pairs + 16] of the queries
  float* weights;    // [pairs, 64]
  int16_t* integers;
  float* integer_scale;
  Range* ranges;      // [pairs] of the block at hand
  float* bases;       // [pairs + 16] what weights are relative to
  float* shrinks;     // [pairs + 16] what the sums so far are multiplied with
  float* maxima;      // [pairs + 16] of the span at hand
  float* span;        // [pairs] states
  float* everything;  // [pairs] states
  int* begin;         // [pairs] sees the absolute positions [begin, end)
  int* end;
};

// The pairs worked on at once: rows x heads of the call, as if they were a call of their own.
struct Chunk {
  AttentionInput in;  // rows and heads of the chunk only
  int first_head;     // of the group, for the sinks
  int count;          // in.rows * in.group pairs
  int span;           // span_positions() of all rows
  int tiles;
  size_t page_bytes;  // of one head's keys and values
  Workspace work;

  size_t state_stride() const { return static_cast<size_t>(in.head_width) + kStateHeaderFloats; }
};

int chunk_pairs(int width) {
  return smaller(kChunkPairs, kChunkFloats / width);
}

template <typename T>
T* take(uint8_t*& scratch, int count) {
  T* taken = reinterpret_cast<T*>(scratch);
  const size_t bytes = static_cast<size_t>(count) * sizeof(T);
  scratch += (bytes + 63) / 64 * 64;
  return taken;
}

Workspace lay_out(uint8_t* scratch, int width) {
  const int pairs = chunk_pairs(width);
  const int padded = pairs + kLanePadding;
  Workspace w;
  w.floats = take<float>(scratch, (kBlockPages + 1) * kPagePositions * width);
  w.queries = take<uint8_t>(scratch, pairs * width * static_cast<int>(sizeof(float)));
  w.scales = take<float>(scratch, padded);
  w.weights = take<float>(scratch, pairs * kBlockPositions);
  w.integers = take<int16_t>(scratch, pairs * kBlockPositions);
  w.integer_scale = take<float>(scratch, pairs);
  w.ranges = take<Range>(scratch, pairs);
  w.bases = take<float>(scratch, padded);
  w.shrinks = take<float>(scratch, padded);
  w.maxima = take<float>(scratch, padded);
  w.span = take<float>(scratch, pairs * (width + kStateHeaderFloats));
  w.everything = take<float>(scratch, pairs * (width + kStateHeaderFloats));
  w.begin = take<int>(scratch, pairs);
  w.end = take<int>(scratch, pairs);
  return w;
}

inline int tile_begin(const Chunk& chunk, int tile) {
  return chunk.count * tile / chunk.tiles;
}

inline Range seen(const Chunk& chunk, int pair, const Block& block) {
  const int begin = larger(0, chunk.work.begin[pair] - block.first_position);
  const int end = smaller(kBlockPositions, chunk.work.end[pair] - block.first_position);
  return begin < end ? Range{begin, end} : Range{0, 0};
}

// Raw scores to scores, and the maximum of those in `range`.
inline float finish_scores(const AttentionInput& in, const Block& block, Range range, float* s) {
  Floats top = set1(-kInfinity);
  const bool whole = range.begin == 0 && range.end == kBlockPositions;
  if (whole && in.softcap == 0.0f) {
    for (int p = 0; p < kBlockPages; ++p)
      top = max(load(s + p * kPagePositions), top);
    return reduce_max(top);
  }
  for (int p = 0; p < block.pages; ++p) {
    const Ints position = add_int(lane_numbers(), set1_int(p * kPagePositions));
    const Lanes visible = both(less_int(set1_int(range.begin - 1), position),
                               less_int(position, set1_int(range.end)));
    Floats score = load(s + p * kPagePositions);
    if (in.softcap != 0.0f) {
      score = mul(set1(in.softcap * kLog2E), tanh(div(score, set1(in.softcap))));
    }
    score = select(visible, score, set1(-kInfinity));
    store(s + p * kPagePositions, score);
    top = max(score, top);
  }
  return reduce_max(top);
}

// Scores to weights; returns their sums by lane.
template <int kPages>
inline Floats weights_of_scores(float* s, float base) {
  Floats total = zero();
  for (int p = 0; p < kPages; ++p) {
    const Floats weight = power_weight_of(sub(load(s + p * kPagePositions), set1(base)));
    store(s + p * kPagePositions, weight);
    total = add(total, weight);
  }
  return total;
}

// Pairs that a tile may have: a block of converted floats is cut into several.
template <typename Kv>
constexpr int most_pairs() {
  return __is_same(Kv, Converted) ? kTilePairs : kMostPairs;
}

// The raw scores of a tile.
template <typename Kv>
struct Scores {
  static constexpr int kMostPairs = most_pairs<Kv>();
  template <int kPairs>
  static void multiply(const Tile& tile, const Block& block, int width) {
    constexpr int kPages = vectors_per_pair(kPairs);
    int page = 0;
    for (; page + kPages <= block.pages; page += kPages)
      score_pages<Kv, kPairs, kPages>(tile, block, page, width);
    for (; page < block.pages; ++page)
      score_pages<Kv, kPairs, 1>(tile, block, page, width);
  }
};

// The weighted values of a tile.
template <typename Kv>
struct Values {
  static constexpr int kMostPairs = most_pairs<Kv>();
  template <int kPairs>
  static void multiply(const Tile& tile, const Block& block, int width) {
    add_all_values<Kv, kPairs>(tile, block, width);
  }
};

// The product with a tile of any number of pairs.
template <typename Product, int kPairs = 1>
void multiply(const Tile& tile, const Block& block, int width) {
  if constexpr (kPairs < Product::kMostPairs) {
    if (tile.count > kPairs) return multiply<Product, kPairs + 1>(tile, block, width);
  }
  Product::template multiply<kPairs>(tile, block, width);
}

// Finishes the scores of a tile, and finds what follows from their maxima: the new maxima, what
// weights are relative to, and how much the sums so far shrink.
void raise_maxima(const Chunk& chunk, const Tile& tile, const Block& block) {
  const Workspace& work = chunk.work;
  float tops[kLanePadding];
  store(tops, set1(-kInfinity));
  for (int m = 0; m < tile.count; ++m) {
    const Range range = work.ranges[tile.first + m] = seen(chunk, tile.first + m, block);
    if (range.begin == range.end) continue;
    tops[m] = finish_scores(chunk.in, block, range, tile.weights + m * kBlockPositions);
  }
  const Floats before = load(work.maxima + tile.first);
  const Floats now = max(load(tops), before);
  store_n(work.maxima + tile.first, now, tile.count);
  // Every score -infinity: no NaN from it.
  const Floats base = select(equal(now, set1(-kInfinity)), zero(), now);
  store(work.bases + tile.first, base);
  store(work.shrinks + tile.first, power_weight_of(sub(before, base)));
}

// Turns the finished scores of a tile into weights, and adds them up.
void weigh(const Chunk& chunk, const Tile& tile, const Block& block) {
  const Workspace& work = chunk.work;
  for (int m = 0; m < tile.count; ++m) {
    if (tile.ranges[m].begin == tile.ranges[m].end) continue;
    float* scores = tile.weights + m * kBlockPositions;
    const float base = work.bases[tile.first + m];
    Floats total = zero();
    if (block.pages == kBlockPages) {
      total = weights_of_scores<kBlockPages>(scores, base);
    } else {
      for (int p = 0; p < block.pages; ++p)
        total = add(total, weights_of_scores<1>(scores + p * kPagePositions, base));
    }
    float* sum = tile.sums + static_cast<size_t>(m) * tile.sum_stride;
    float* lanes = sum - kStateHeaderFloats + 16;
    store(lanes, fma(load(lanes), set1(tile.shrinks[m]), total));
  }
}

// The block at `first_position`, of which nobody sees `end_position` or beyond: pages from there on
// may not exist. Pages to ask for are those of the block after it, or its own where that ends.
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

// Asks a part of the next block into the cache; there are two for each tile. All at once would
// wait for memory while nothing is computed.
void ask_ahead(const Chunk& chunk, const Block& block, int part) {
  const int lines = static_cast<int>(chunk.page_bytes / 64);
  const int parts = 2 * chunk.tiles;
  for (int p = 0; p < block.pages; ++p) {
    for (int line = lines * part / parts; line < lines * (part + 1) / parts; ++line)
      prefetch(block.next[p] + static_cast<ptrdiff_t>(line) * 64);
  }
}

// The tiles that see something of a block: the first ones may end before it, and windows of the
// last ones may begin after it.
Range tiles_at(const Chunk& chunk, const Block& block) {
  const Workspace& work = chunk.work;
  Range tiles = {0, chunk.tiles};
  while (tiles.begin < tiles.end &&
         work.end[tile_begin(chunk, tiles.begin + 1) - 1] <= block.first_position)
    ++tiles.begin;
  while (tiles.begin < tiles.end &&
         work.begin[tile_begin(chunk, tiles.end - 1)] >= block.first_position + kBlockPositions)
    --tiles.end;
  return tiles;
}

Tile tile_at(const Chunk& chunk, int index, float* states) {
  const Workspace& work = chunk.work;
  const int first = tile_begin(chunk, index);
  const size_t query_bytes = static_cast<size_t>(chunk.in.head_width) *
                             (chunk.in.kv_type == KvType::kInt8 ? 2 : sizeof(float));
  return {.first = first,
          .count = tile_begin(chunk, index + 1) - first,
          .queries = work.queries + static_cast<size_t>(first) * query_bytes,
          .scales = work.scales + first,
          .ranges = work.ranges + first,
          .shrinks = work.shrinks + first,
          .weights = work.weights + first * kBlockPositions,
          .integers = work.integers + first * kBlockPositions,
          .integer_scale = work.integer_scale + first,
          .sums = states + static_cast<size_t>(first) * chunk.state_stride() + kStateHeaderFloats,
          .sum_stride = chunk.state_stride()};
}

template <typename Kv>
void score_tiles(const Chunk& chunk, const Block& block, float* states) {
  const Range tiles = tiles_at(chunk, block);
  for (int t = tiles.begin; t < tiles.end + 2; ++t) {
    if (t < tiles.end) {
      if (!Kv::kAsksAhead) ask_ahead(chunk, block, t);
      multiply<Scores<Kv>>(tile_at(chunk, t, states), block, chunk.in.head_width);
    }
    if (t > tiles.begin && t <= tiles.end)
      raise_maxima(chunk, tile_at(chunk, t - 1, states), block);
    if (t > tiles.begin + 1) weigh(chunk, tile_at(chunk, t - 2, states), block);
  }
}

template <typename Kv>
void add_values_of_tiles(const Chunk& chunk, const Block& block, float* states) {
  const Range tiles = tiles_at(chunk, block);
  for (int t = tiles.begin; t < tiles.end; ++t) {
    if (!Kv::kAsksAhead) ask_ahead(chunk, block, chunk.tiles + t);
    multiply<Values<Kv>>(tile_at(chunk, t, states), block, chunk.in.head_width);
  }
}

template <typename Kv>
void attend_block(const Chunk& chunk, const Block& block, float* states) {
  if constexpr (!__is_same(Kv, Int8)) {
    if (chunk.tiles > 1) {
      const int width = chunk.in.head_width;
      const Block floats = block_of_floats<Kv>(block, width, chunk.work.floats);
      convert<Kv>(block, floats, 0, width);
      score_tiles<Converted>(chunk, floats, states);
      convert<Kv>(block, floats, kPagePositions * width, width);
      return add_values_of_tiles<Converted>(chunk, floats, states);
    }
  }
  if (chunk.tiles == 1) {
    const Tile tile = tile_at(chunk, 0, states);
    multiply<Scores<Kv>>(tile, block, chunk.in.head_width);
    raise_maxima(chunk, tile, block);
    weigh(chunk, tile, block);
    return multiply<Values<Kv>>(tile, block, chunk.in.head_width);
  }
  score_tiles<Kv>(chunk, block, states);
  add_values_of_tiles<Kv>(chunk, block, states);
}

// The states of all pairs after span `span`.
template <typename Kv>
void attend_span(const Chunk& chunk, int span, float* states) {
  const Workspace& work = chunk.work;
  for (int i = 0; i < chunk.count; i += kLanePadding)
    store(work.maxima + i, set1(-kInfinity));
  for (int i = 0; i < chunk.count; ++i) {
    float* state = states + static_cast<size_t>(i) * chunk.state_stride();
    for (int e = 16; e < chunk.in.head_width + kStateHeaderFloats; e += 16)
      store(state + e, zero());
  }
  const int from = larger(work.begin[0], span * chunk.span);
  const int all_end = work.end[chunk.count - 1];
  const int to = smaller(all_end, (span + 1) * chunk.span);
  for (int at = from / kBlockPositions * kBlockPositions; at < to; at += kBlockPositions) {
    attend_block<Kv>(chunk, find_block(chunk.in, at, all_end), states);
  }
  for (int i = 0; i < chunk.count; ++i)
    State{states + static_cast<size_t>(i) * chunk.state_stride()}.maximum() = work.maxima[i];
}

void attend_span_of_type(const Chunk& chunk, int span, float* states) {
  switch (chunk.in.kv_type) {
    case KvType::kF32:
      return attend_span<F32>(chunk, span, states);
    case KvType::kF16:
      return attend_span<F16>(chunk, span, states);
    case KvType::kBF16:
      return attend_span<BF16>(chunk, span, states);
    case KvType::kInt8:
      return attend_span<Int8>(chunk, span, states);
  }
}

// Rounds a query to int16 as x ~= scale * integer; zeros with scale 0 where it holds an infinity or
// a NaN, or next to nothing. `integers`: element e at [e / 2 * stride, e % 2].
float round_query(const float* x, int width, int16_t* integers, int stride) {
  Floats magnitude = zero();
  Floats poison = zero();  // becomes NaN with the first infinity or NaN
  for (int e = 0; e < width; e += 16) {
    const Floats v = load(x + e);
    magnitude = max(abs(v), magnitude);
    poison = fma(v, zero(), poison);
  }
  const float largest = reduce_max(magnitude);
  const bool usable = largest >= kSmallestScaled && reduce_add(poison) == 0.0f;
  const Floats factor = set1(usable ? kLargestInteger / largest : 0.0f);
  for (int e = 0; e < width; e += 16) {
    int16_t rounded[16];
    store_int16(rounded, usable ? to_int(mul(load(x + e), factor)) : set1_int(0));
    for (int i = 0; i < 16; ++i)
      integers[(e + i) / 2 * 2 * stride + i % 2] = rounded[i];
  }
  return usable ? largest * (1.0f / kLargestInteger) : 0.0f;
}

// Lays the scaled queries of a tile side by side.
void pack_queries(const Chunk& chunk, int first, int count) {
  const AttentionInput& in = chunk.in;
  const int width = in.head_width;
  const Floats factor = set1(in.softcap != 0.0f ? in.scale : in.scale * kLog2E);
  for (int m = 0; m < count; ++m) {
    const int row = (first + m) / in.group;
    const int head = in.head_begin + (first + m) % in.group;
    const float* q = in.q + static_cast<size_t>(row) * in.q_row_stride +
                     static_cast<size_t>(head) * static_cast<size_t>(width);
    float x[kMaxHeadWidth];
    for (int e = 0; e < width; e += 16)
      store(x + e, mul(load(q + e), factor));
    if (in.kv_type == KvType::kInt8) {
      int16_t* integers = reinterpret_cast<int16_t*>(chunk.work.queries) + first * width + 2 * m;
      chunk.work.scales[first + m] = round_query(x, width, integers, count);
    } else {
      float* floats = reinterpret_cast<float*>(chunk.work.queries) + first * width + m;
      for (int e = 0; e < width; ++e)
        floats[e * count] = x[e];
    }
  }
}

void prepare(Chunk& chunk) {
  const AttentionInput& in = chunk.in;
  chunk.count = in.rows * in.group;
  chunk.span = span_positions(in.first_position);
  chunk.tiles = chunk.count <= kMostPairs ? 1 : (chunk.count + kTilePairs - 1) / kTilePairs;
  chunk.page_bytes = kv_page_bytes(in.kv_type, in.head_width);
  for (int i = 0; i < chunk.count; ++i) {
    const int position = in.first_position + i / in.group;
    chunk.work.begin[i] = in.window > 0 ? larger(0, position - in.window + 1) : 0;
    chunk.work.end[i] = position + 1;
  }
}

void pack_all_queries(const Chunk& chunk) {
  for (int t = 0; t < chunk.tiles; ++t) {
    const int first = tile_begin(chunk, t);
    pack_queries(chunk, first, tile_begin(chunk, t + 1) - first);
  }
}

// What a pair's result starts from.
void start(const Chunk& chunk, int pair, State state) {
  const float* sinks = chunk.in.sinks;
  for (int e = 16; e < chunk.in.head_width + kStateHeaderFloats; e += 16)
    store(state.at + e, zero());
  state.maximum() = -kInfinity;
  if (sinks == nullptr) return;
  state.maximum() = sinks[chunk.first_head + pair % chunk.in.group] * kLog2E;
  state.total()[0] = 1.0f;
}

// Adds the state of a span to that of the spans before it.
void merge(State state, State span, int width) {
  const float maximum = span.maximum() > state.maximum() ? span.maximum() : state.maximum();
  const float base = maximum == -kInfinity ? 0.0f : maximum;
  const Floats keep = power_weight_of(set1(state.maximum() - base));
  const Floats take = power_weight_of(set1(span.maximum() - base));
  for (int e = 16; e < width + kStateHeaderFloats; e += 16) {
    store(state.at + e, fma(load(span.at + e), take, mul(load(state.at + e), keep)));
  }
  state.maximum() = maximum;
}

// Adds the states of span `span` to those of all pairs that see something of it.
void merge_all(const Chunk& chunk, int span, const float* states) {
  for (int i = 0; i < chunk.count; ++i) {
    const bool sees =
        chunk.work.begin[i] < (span + 1) * chunk.span && chunk.work.end[i] > span * chunk.span;
    if (!sees) continue;
    const size_t at = static_cast<size_t>(i) * chunk.state_stride();
    merge({chunk.work.everything + at}, {const_cast<float*>(states) + at}, chunk.in.head_width);
  }
}

void start_all(const Chunk& chunk) {
  for (int i = 0; i < chunk.count; ++i)
    start(chunk, i, {chunk.work.everything + static_cast<size_t>(i) * chunk.state_stride()});
}

void finish_all(const Chunk& chunk) {
  const AttentionInput& in = chunk.in;
  for (int i = 0; i < chunk.count; ++i) {
    const State state = {chunk.work.everything + static_cast<size_t>(i) * chunk.state_stride()};
    float* out = in.out + static_cast<size_t>(i / in.group) * in.out_row_stride +
                 static_cast<ptrdiff_t>(in.head_begin + i % in.group) * in.head_width;
    const Floats total = set1(reduce_add(load(state.total())));
    for (int e = 0; e < in.head_width; e += 16)
      store(out + e, div(load(state.sum() + e), total));
  }
}

// Calls body(chunk) for every chunk of `in`. All rows of a chunk have the same spans.
template <typename Body>
void for_each_chunk(const AttentionInput& in, uint8_t* scratch, const Body& body) {
  const int most = chunk_pairs(in.head_width);
  const int heads_at_once = smaller(in.group, most);
  const int rows_at_once = most / heads_at_once;
  Chunk chunk;
  chunk.work = lay_out(scratch, in.head_width);
  for (int row = 0; row < in.rows;) {
    const int position = in.first_position + row;
    const int same_spans = span_positions(position) * kMaxSpans - position;
    const int rows = smaller(smaller(rows_at_once, in.rows - row), same_spans);
    for (int head = 0; head < in.group; head += heads_at_once) {
      chunk.in = in;
      chunk.in.q += static_cast<size_t>(row) * in.q_row_stride;
      chunk.in.out += static_cast<size_t>(row) * in.out_row_stride;
      chunk.in.rows = rows;
      chunk.in.first_position = position;
      chunk.in.head_begin += head;
      chunk.in.group = smaller(heads_at_once, in.group - head);
      chunk.first_head = head;
      prepare(chunk);
      body(chunk, row);
    }
    row += rows;
  }
}

inline SpanRange spans_of(const Chunk& chunk) {
  return {chunk.work.begin[0] / chunk.span, (chunk.work.end[chunk.count - 1] - 1) / chunk.span + 1};
}

// Where the states of a chunk's first pair begin in [span, row, head] states.
inline size_t state_at(const AttentionInput& in, const Chunk& chunk, int span, int row) {
  const size_t rows =
      static_cast<size_t>(span) * static_cast<size_t>(in.rows) + static_cast<size_t>(row);
  return (rows * static_cast<size_t>(in.group) + static_cast<size_t>(chunk.first_head)) *
         chunk.state_stride();
}

}  // namespace

void attend(const AttentionInput& in, uint8_t* scratch) {
  for_each_chunk(in, scratch, [](const Chunk& chunk, int) {
    pack_all_queries(chunk);
    start_all(chunk);
    const SpanRange spans = spans_of(chunk);
    for (int span = spans.begin; span < spans.end; ++span) {
      attend_span_of_type(chunk, span, chunk.work.span);
      merge_all(chunk, span, chunk.work.span);
    }
    finish_all(chunk);
  });
}

void attend_spans(const AttentionInput& in, SpanRange spans, float* states, uint8_t* scratch) {
  for_each_chunk(in, scratch, [&](const Chunk& chunk, int row) {
    pack_all_queries(chunk);
    const SpanRange own = spans_of(chunk);
    for (int span = larger(spans.begin, own.begin); span < smaller(spans.end, own.end); ++span) {
      attend_span_of_type(chunk, span, states + state_at(in, chunk, span - spans.begin, row));
    }
  });
}

void merge_spans(const AttentionInput& in, SpanRange spans, const float* states, uint8_t* scratch) {
  for_each_chunk(in, scratch, [&](const Chunk& chunk, int row) {
    start_all(chunk);
    for (int span = spans.begin; span < spans.end; ++span)
      merge_all(chunk, span, states + state_at(in, chunk, span - spans.begin, row));
    finish_all(chunk);
  });
}

}  // namespace inferno::kernel::INFERNO_ISA
