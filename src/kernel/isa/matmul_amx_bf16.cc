// AMX products with bfloat16 weights: a product of tiles is, rounding by rounding, the block of
// 32 k of kernels.h, and the sums that it adds to are the running t. So nothing is left to do
// between the products, and weights and activations lie in memory as the tiles that are loaded.
//
//   a pass       32 rows x 2 panels x up to 16 units of 32 k: four tiles of sums in registers
//   a block      up to 256 rows: all their passes with a pair of panels follow each other, so the
//                pair's weights come from L1, and from memory once for each block
//   a group      some pairs, for one part of k after the other: what a block's rows have in that
//                part stays in L2. Sums wait in scratch between passes
//
// The weights that the next pair needs are fetched into L2 along the way. Up to 32 rows are one
// pass over all of k, fetching ahead in its own panels: memory is the bound.
//
// Cost: a step of a pass is 4 products of 16 cycles and 4 loads of 1 KiB.
#if defined(INFERNO_ISA_AVX512)
#include "kernel/isa/matmul_amx_bf16.h"

#include "kernel/isa/amx_tiles.h"
#include "kernel/isa/bf16.h"
#include "kernel/isa/outputs.h"
#include "kernel/isa/table.h"
#include "kernel/isa/vec.h"

namespace inferno::kernel::INFERNO_ISA {
namespace {

constexpr int kTileBytes = layout::kRoundedTileBytes;
constexpr int kTileLines = kTileBytes / 64;
constexpr int kPassRows = 2 * kAmxTileRows;
constexpr int kMostRows = 256;
// Units of a pass at most: the weights of a pair, 32 KiB, stay in L1 for all rows of a block, whose
// activations pass them from L2 (stream_tile). Of 512 rows by 8960 x 1536 and 1536 x 8960 that gave
// 48 and 56 % of the peak, where 48 units from L2 gave 47 and 50 %.
constexpr int kPassUnits = 16;
// How far ahead of their use few rows fetch weights.
constexpr int kUnitsAhead = 4;

// The sums of a pass: rows 0 to 15 with both panels, then rows 16 to 31.
struct alignas(64) Sums {
  float tile[2][2][16][16];
};
// 400 KiB, which L2 holds beside the activations.
constexpr int kMostSums = 100;
static_assert(kMostSums * sizeof(Sums) <= kMatmulScratchBytes);
static_assert(kMostRows / kPassRows <= kMostSums);

// Bytes wanted soon: `lines` cache lines of both places with every step.
struct Ahead {
  const uint8_t* at[2];
  int lines;

  INFERNO_INLINE void advance() {
    for (int line = 0; line < lines; ++line) {
      __builtin_prefetch(at[0], 0, 2);
      __builtin_prefetch(at[1], 0, 2);
      at[0] += 64;
      at[1] += 64;
    }
  }
};

struct Pass {
  const uint8_t* rows[2];     // tiles of activations, one unit after the other
  const uint8_t* weights[2];  // of the panels
  int units;
  bool is_first;  // sums begin at 0
  Ahead next_weights;
  Sums* sums;
};

template <int kRowTiles, int kPanels>
INFERNO_INLINE inline void begin_sums(const Pass& pass) {
  unroll<0, kRowTiles * kPanels>([&](auto i) INFERNO_INLINE {
    constexpr int kTile = i / kPanels * 2 + i % kPanels;
    if (pass.is_first) {
      zero_tile<kTile>();
    } else {
      load_tile<kTile, kTileBytes>(pass.sums->tile[i / kPanels][i % kPanels]);
    }
  });
}

template <int kRowTiles, int kPanels>
__attribute__((noinline)) void multiply(Pass pass) {
  begin_sums<kRowTiles, kPanels>(pass);
  for (int unit = 0; unit < pass.units; ++unit) {
    const size_t at = static_cast<size_t>(unit) * kTileBytes;
    load_tile<6, kTileBytes>(pass.weights[0] + at);
    stream_tile<4, kTileBytes>(pass.rows[0] + at);
    add_bf16_products<0, 4, 6>();
    if constexpr (kPanels == 2) {
      load_tile<7, kTileBytes>(pass.weights[1] + at);
      add_bf16_products<1, 4, 7>();
    }
    if constexpr (kRowTiles == 2) {
      stream_tile<5, kTileBytes>(pass.rows[1] + at);
      add_bf16_products<2, 5, 6>();
      if constexpr (kPanels == 2) add_bf16_products<3, 5, 7>();
    }
    pass.next_weights.advance();
  }
  unroll<0, kRowTiles * kPanels>([&](auto i) INFERNO_INLINE {
    constexpr int kTile = i / kPanels * 2 + i % kPanels;
    store_float_sums<kTile>(pass.sums->tile[i / kPanels][i % kPanels]);
  });
}

// Rows of a pass that exist, and its panels.
struct Place {
  int row, rows;
  int panel, panels;
};

void multiply_place(const Pass& pass, const Place& place) {
  if (place.rows > kAmxTileRows) {
    if (place.panels == 2) return multiply<2, 2>(pass);
    return multiply<2, 1>(pass);
  }
  if (place.panels == 2) return multiply<1, 2>(pass);
  multiply<1, 1>(pass);
}

struct Job {
  const PackedMatrix& w;
  const RoundedRows& x;
  const MatmulOutput& out;
  Sums* sums;
  int units;  // of k
};

// y = sums, or y + sums.
void write_sums(const Job& job, const Place& place, const Sums& sums) {
  for (int p = 0; p < place.panels; ++p) {
    for (int row = 0; row < place.rows; ++row) {
      write_outputs(job.out, job.w.n, place.row + row, place.panel + p,
                    load(sums.tile[row / kAmxTileRows][p][row % kAmxTileRows]));
    }
  }
}

// Fetches the lines that write_sums() will write: rows of y may be far apart.
void fetch_outputs(const Job& job, const Place& place) {
  const float* y = job.out.y + static_cast<size_t>(place.row) * job.out.stride +
                   static_cast<size_t>(place.panel) * 16;
  for (int row = 0; row < place.rows; ++row, y += job.out.stride) {
    __builtin_prefetch(y, 1);
    __builtin_prefetch(y + 16, 1);
  }
}

// A block of rows, a group of panels and the units of a pass.
struct Span {
  int row_begin, row_end;
  int panel_begin, panel_end;
  int unit_begin, unit_end;
};

const uint8_t* weights_at(const Job& job, int panel, int unit) {
  const int last = job.out.panel_end - 1;  // what does not exist is fetched, not used
  return job.w.data + static_cast<size_t>(panel < last ? panel : last) * job.w.panel_bytes +
         static_cast<size_t>(unit) * kTileBytes;
}

const uint8_t* rows_at(const Job& job, int row, int unit) {
  return reinterpret_cast<const uint8_t*>(job.x.x + rounded_offset(job.units, row, unit));
}

// Where a pass of `units` of pair `pair` of a span fetches the weights that come next: the
// following pair, or, after the last, the first pair's next units.
Ahead next_weights(const Job& job, const Span& span, int panel, int passes) {
  const bool is_last = panel + 2 >= span.panel_end;
  const bool is_end = is_last && span.unit_end == job.units;
  const int next = is_end ? span.panel_end : is_last ? span.panel_begin : panel + 2;
  const int unit = is_end ? 0 : is_last ? span.unit_end : span.unit_begin;
  return {{weights_at(job, next, unit), weights_at(job, next + 1, unit)},
          (kTileLines + passes - 1) / passes};
}

// All of a span: a pass for every pair and 32 rows. The sums of the last units are written to y one
// pass later, when they have arrived in the cache and tiles are at work again.
void multiply_span(const Job& job, const Span& span) {
  const int units = span.unit_end - span.unit_begin;
  const int passes = (span.row_end - span.row_begin + kPassRows - 1) / kPassRows;
  const bool is_last = span.unit_end == job.units;
  Sums* sums = job.sums;
  Place finished = {};
  for (int panel = span.panel_begin; panel < span.panel_end; panel += 2) {
    Ahead weights = next_weights(job, span, panel, passes);
    for (int row = span.row_begin; row < span.row_end; row += kPassRows, ++sums) {
      const int rows = span.row_end - row < kPassRows ? span.row_end - row : kPassRows;
      const Place place = {row, rows, panel, span.panel_end - panel < 2 ? 1 : 2};
      const int second = rows > kAmxTileRows ? row + kAmxTileRows : row;
      if (is_last) fetch_outputs(job, place);
      multiply_place(
          {{rows_at(job, row, span.unit_begin), rows_at(job, second, span.unit_begin)},
           {weights_at(job, panel, span.unit_begin), weights_at(job, panel + 1, span.unit_begin)},
           units,
           span.unit_begin == 0,
           weights,
           sums},
          place);
      for (const uint8_t*& at : weights.at)
        at += static_cast<size_t>(weights.lines * units) * 64;
      if (is_last && finished.rows > 0) write_sums(job, finished, sums[-1]);
      finished = place;
    }
  }
  if (is_last) write_sums(job, finished, sums[-1]);
}

void multiply_many(const Job& job, int row_begin, int row_end) {
  const int passes = (row_end - row_begin + kPassRows - 1) / kPassRows;
  const int group = kMostSums / passes * 2;
  const int unit_blocks = (job.units + kPassUnits - 1) / kPassUnits;
  for (int panel = job.out.panel_begin; panel < job.out.panel_end; panel += group) {
    const int left = job.out.panel_end - panel;
    Span span = {row_begin, row_end, panel, panel + (left < group ? left : group), 0, 0};
    for (int i = 0; i < unit_blocks; ++i) {
      span.unit_begin = span.unit_end;
      span.unit_end = job.units * (i + 1) / unit_blocks;
      multiply_span(job, span);
    }
  }
}

void multiply_few(const Job& job, int row_begin, int row_end) {
  const int rows = row_end - row_begin;
  const int second = rows > kAmxTileRows ? row_begin + kAmxTileRows : row_begin;
  for (int panel = job.out.panel_begin; panel < job.out.panel_end; panel += 2) {
    const Place place = {row_begin, rows, panel, job.out.panel_end - panel < 2 ? 1 : 2};
    Pass pass = {{rows_at(job, row_begin, 0), rows_at(job, second, 0)},
                 {weights_at(job, panel, 0), weights_at(job, panel + 1, 0)},
                 job.units,
                 true,
                 {{weights_at(job, panel, kUnitsAhead), weights_at(job, panel + 1, kUnitsAhead)},
                  kTileLines},
                 job.sums};
    multiply_place(pass, place);
    write_sums(job, place, *job.sums);
  }
}

__attribute__((noinline)) void multiply_all(const Job& job, int rows) {
  if (rows <= kPassRows) return multiply_few(job, 0, rows);
  const int blocks = (rows + kMostRows - 1) / kMostRows;
  const int even = (rows + blocks - 1) / blocks;
  const int block = (even + kPassRows - 1) / kPassRows * kPassRows;
  for (int row = 0; row < rows; row += block)
    multiply_many(job, row, rows - row < block ? rows : row + block);
}

// Tiles of `rows` rows: fewer than 16 only where there are no more.
TileConfig tiles_of(int rows) {
  TileConfig config = kTilesOf64;
  for (int tile = 0; tile < 6; ++tile)
    config.rows[tile] = static_cast<uint8_t>(rows);
  return config;
}

}  // namespace

void matmul_amx_bf16(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                     uint8_t* scratch) {
  const Job job = {w, *x.rounded, out, reinterpret_cast<Sums*>(scratch), rounded_units(w.k)};
  const FlushToZero scope;
  configure_tiles(tiles_of(x.rows < kAmxTileRows ? x.rows : kAmxTileRows));
  multiply_all(job, x.rows);
  release_tiles();
}

// Four sums, two tiles of rows, two of weights: as the products above do, without loads.
uint64_t bf16_products_amx(int iterations, float* sink) {
  alignas(64) uint8_t bytes[kTileBytes];
  for (int i = 0; i < kTileBytes; ++i)
    bytes[i] = i % 2 == 0 ? static_cast<uint8_t>(i) : 0x3F;
  configure_tiles(kTilesOf64);
  unroll<0, 4>([](auto i) INFERNO_INLINE { zero_tile<i>(); });
  unroll<4, 8>([&](auto i) INFERNO_INLINE { load_tile<i, kTileBytes>(bytes); });
  for (int i = 0; i < iterations; ++i) {
    add_bf16_products<0, 4, 6>();
    add_bf16_products<1, 4, 7>();
    add_bf16_products<2, 5, 6>();
    add_bf16_products<3, 5, 7>();
  }
  alignas(64) float sums[16][16];
  store_float_sums<3>(sums);
  release_tiles();
  *sink = sums[15][15];
  return static_cast<uint64_t>(iterations) * 4 * 16 * 16 * 32 * 2;
}

}  // namespace inferno::kernel::INFERNO_ISA
#endif
