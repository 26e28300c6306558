// The loops around the quantized matrix products, the same for every format.
//
// Few rows (at most kDirectRows): panels one after the other, unpacked in registers, so that the
// packed bytes pass through the core once; memory is the bound.
// Many rows: blocks of rows whose activations stay in L2; for each, kTilePanels panels at a time;
// for each, 256 k at a time: unpack a Tile once, then all rows in blocks of kTileRows against it.
// Running sums wait in scratch between tiles. The dot-product instruction is the bound.
//
// Both call the same Stretch::add with the same stretches of 256 k in the same order, so an output
// has the same bits whichever way it was computed.
#pragma once

#include "kernel/isa/matmul.h"
#include "kernel/isa/matmul_sources.h"
#include "kernel/isa/outputs.h"

namespace inferno::kernel::INFERNO_ISA {

// Activations from some row and stretch on. Strides are elements.
struct RowSlice {
  const int8_t* q;
  const float* scale;
  const int16_t* sum;
  size_t q_stride, scale_stride, sum_stride;
};

inline RowSlice slice_of(const QuantizedRows& x, int row, int stretch) {
  const size_t k = static_cast<size_t>(x.k);
  const size_t scales = k / static_cast<size_t>(x.block);
  const size_t r = static_cast<size_t>(row);
  const size_t at = static_cast<size_t>(stretch) * 256;
  return {x.q + r * k + at,
          x.scale + r * scales + at / static_cast<size_t>(x.block),
          x.sum + r * (k / 16) + at / 16,
          k,
          scales,
          k / 16};
}

struct StretchShape {
  int zero_point;
  int subs;  // sub-blocks in this stretch
};

struct MatmulJob {
  const PackedMatrix& w;
  const QuantizedRows& x;
  int rows;
  const MatmulOutput& out;
  uint8_t* scratch;
  int prefetch_bytes = kDefaultPrefetchBytes;  // of MatmulInput; where few rows are multiplied
};

inline int stretch_count(int k) {
  return (k + 255) / 256;
}
// Sub-blocks of stretch `stretch`: fewer in the last one of a k that is not a multiple of 256.
template <class S>
inline int subs_in(int k, int stretch) {
  const int left = (k - stretch * 256) / (256 / S::kSubs);
  return left < S::kSubs ? left : S::kSubs;
}

template <class S, class Stretch, int kRows>
__attribute__((noinline)) void multiply_direct(const MatmulJob& job) {
  const PackedMatrix& w = job.w;
  const int stretches = stretch_count(w.k);
  for (int panel = job.out.panel_begin; panel < job.out.panel_end; ++panel) {
    const uint8_t* bytes = w.data + static_cast<size_t>(panel) * w.panel_bytes;
    Floats total[kRows][1];
    unroll<0, kRows>([&](auto r) INFERNO_INLINE { total[r][0] = zero(); });
    for (int stretch = 0; stretch < stretches; ++stretch) {
      const S source[1] = {
          S(w, bytes + static_cast<size_t>(stretch) * S::kStretchBytes, job.prefetch_bytes)};
      const RowSlice rows = slice_of(job.x, 0, stretch);
      Stretch::add(source, rows, {w.zero_point, subs_in<S>(w.k, stretch)}, total);
    }
    unroll<0, kRows>([&](auto r)
                         INFERNO_INLINE { write_outputs(job.out, w.n, r, panel, total[r][0]); });
  }
}

// One block of rows against a tile. totals: [kRows][kTilePanels][16] float, read and written.
struct TileBlock {
  const Tile* tile;
  RowSlice rows;
  int zero_point;
  int subs;
  float* totals;
};

template <class S, class Stretch, int kRows>
__attribute__((noinline)) void multiply_tile(const TileBlock& block) {
  TileSource<S> source[kTilePanels];
  Floats total[kRows][kTilePanels];
  unroll<0, kTilePanels>([&](auto p) INFERNO_INLINE {
    source[p] = {block.tile, p};
    unroll<0, kRows>([&](auto r) INFERNO_INLINE {
      total[r][p] = load(block.totals + (r * kTilePanels + p) * 16);
    });
  });
  Stretch::add(source, block.rows, {block.zero_point, block.subs}, total);
  unroll<0, kTilePanels>([&](auto p) INFERNO_INLINE {
    unroll<0, kRows>([&](auto r) INFERNO_INLINE {
      store(block.totals + (r * kTilePanels + p) * 16, total[r][p]);
    });
  });
}

template <class S, class Stretch, int kRows>
inline void multiply_tile_rows(const TileBlock& block, int rows) {
  if constexpr (kRows > kLeastTileRows) {
    if (rows < kRows) return multiply_tile_rows<S, Stretch, kRows - 1>(block, rows);
  }
  multiply_tile<S, Stretch, kRows>(block);
}

// How many blocks rows are split into, so that the activations of each stay in L2 (1 MiB of it) and
// the totals of each fit in scratch.
inline int row_block_count(int k, int rows) {
  const int fit = (1 << 20) / k;
  const int limit = fit < 32 ? 32 : fit > 512 ? 512 : fit;
  return (rows + limit - 1) / limit;
}

// Where part i of `parts` parts of `rows` rows begins; their sizes differ by at most 1.
inline int part_begin(int rows, int parts, int i) {
  return static_cast<int>(static_cast<int64_t>(rows) * i / parts);
}

template <class S, class Stretch>
inline void multiply_group(const MatmulJob& job, const PanelGroup& group) {
  const PackedMatrix& w = job.w;
  Tile* tile = reinterpret_cast<Tile*>(job.scratch);
  float* totals = reinterpret_cast<float*>(job.scratch + sizeof(Tile));
  const int rows = group.row_end - group.row_begin;
  constexpr int kWidth = kTilePanels * 16;
  __builtin_memset(totals, 0, sizeof(float) * static_cast<size_t>(rows * kWidth));
  const int stretches = stretch_count(w.k);
  for (int stretch = 0; stretch < stretches; ++stretch) {
    const int subs = subs_in<S>(w.k, stretch);
    const uint8_t* next[kTilePanels];
    for (int p = 0; p < kTilePanels; ++p) {  // a panel that does not exist repeats the one before
      const int panel = group.panel + (p < group.panels ? p : group.panels - 1);
      const uint8_t* bytes = w.data + static_cast<size_t>(panel) * w.panel_bytes +
                             static_cast<size_t>(stretch) * S::kStretchBytes;
      Stretch::unpack(S(w, bytes), subs, p, *tile);
      next[p] = bytes + S::kStretchBytes;
    }
    const int blocks = (rows + kTileRows - 1) / kTileRows;
    const int lines = (S::kStretchBytes / 64 + blocks - 1) / blocks;
    for (int i = 0; i < blocks; ++i) {
      for (int p = 0; p < kTilePanels; ++p) {
        for (int line = 0; line < lines; ++line, next[p] += 64) {
          __builtin_prefetch(next[p], 0, 2);
        }
      }
      const int begin = part_begin(rows, blocks, i);
      const TileBlock block = {tile, slice_of(job.x, group.row_begin + begin, stretch),
                               w.zero_point, subs, totals + begin * kWidth};
      multiply_tile_rows<S, Stretch, kTileRows>(block, part_begin(rows, blocks, i + 1) - begin);
    }
  }
  for (int row = 0; row < rows; ++row) {
    for (int p = 0; p < group.panels; ++p) {
      write_outputs(job.out, w.n, group.row_begin + row, group.panel + p,
                    load(totals + row * kWidth + p * 16));
    }
  }
}

template <class S, class Stretch, int kRows>
inline void multiply_few(const MatmulJob& job) {
  if constexpr (kRows > 1) {
    if (job.rows < kRows) return multiply_few<S, Stretch, kRows - 1>(job);
  }
  multiply_direct<S, Stretch, kRows>(job);
}

// All of a job. S: a source of packed weights; Stretch: the arithmetic of 256 k.
template <class S, class Stretch>
inline void multiply(const MatmulJob& job) {
  if (job.rows <= kDirectRows) return multiply_few<S, Stretch, kDirectRows>(job);
  const int blocks = row_block_count(job.w.k, job.rows);
  for (int i = 0; i < blocks; ++i) {
    const int row_begin = part_begin(job.rows, blocks, i);
    const int row_end = part_begin(job.rows, blocks, i + 1);
    for (int panel = job.out.panel_begin; panel < job.out.panel_end; panel += kTilePanels) {
      const int left = job.out.panel_end - panel;
      multiply_group<S, Stretch>(
          job, {row_begin, row_end, panel, left < kTilePanels ? left : kTilePanels});
    }
  }
}

}  // namespace inferno::kernel::INFERNO_ISA
