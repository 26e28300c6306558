// What the AMX products of both kinds of quantized formats share: the walk over the outputs and the
// fetching of the next packed bytes.
//
// For blocks of rows whose activations stay in L2 (super-blocks arrange them in scratch as tiles,
// once for all outputs of a job; groups take them where they are), two panels at a time, 256 k at a
// time: the weights of both panels are unpacked into tiles in L1, and the rows are multiplied by
// them, a few tiles of them after the other. Running sums of floats wait in scratch. The arithmetic
// on them is the one of kernels.h, so bits equal those of other tables.
//
// Few rows leave most of a tile empty: below kLeastAmxRows, or kLeastAmxGroupRows, the AVX-512
// products are used.
#pragma once

#include "kernel/isa/amx_tiles.h"
#include "kernel/isa/matmul_tiles.h"
#include "kernel/kernels.h"

namespace inferno::kernel::INFERNO_ISA {

// From here on a tile of 16 rows costs less than as many rows of vpdpbusd: 8960 x 1536 from memory,
// two threads, Q4_K and Q6_K have 0.88 and 0.83 times the speed of AVX-512 at 8 rows; at 9 rows
// AVX-512 passes the weights twice.
inline constexpr int kLeastAmxRows = 9;

// The same for groups of 32, each of which takes its sums out of the tiles. Least microseconds for
// 1536 x 576 of Q4_1 with AMX and with AVX-512: 9 rows 120 and 94, 12 rows 119 and 115, 16 rows 129
// and 146.
inline constexpr int kLeastAmxGroupRows = 13;

inline constexpr int kAmxPanels = 2;
inline constexpr int kUnitRows = 2 * kAmxTileRows;
inline constexpr int kMostBlockRows = 512;       // whose totals scratch has room for
inline constexpr int kMostBlockBytes = 1 << 20;  // of activations, which stay in L2
inline constexpr int kMostRowStretches = kMostBlockBytes / 256;

// Rows that tiles hold for `rows` rows: the next multiple of 16.
inline int padded_rows(int rows) {
  return (rows + kAmxTileRows - 1) / kAmxTileRows * kAmxTileRows;
}

// Copies `k` (at most 256) elements of a row to the tiles that begin at `to`; zeros follow. Null:
// zeros only.
inline void arrange_row(const int8_t* from, int k, int8_t* to) {
  for (int i = 0; i < 4; ++i) {
    const int left = from == nullptr ? 0 : k - i * 64;
    const uint64_t mask = left >= 64 ? ~uint64_t{0} : left <= 0 ? 0 : (uint64_t{1} << left) - 1;
    _mm512_store_si512(to + i * 1024, _mm512_maskz_loadu_epi8(mask, from + i * 64));
  }
}

// 256 k of a pair of panels of a job; the next ones are of the same pair, or of the next pair.
struct Place {
  int panel, stretch;

  Place next(const MatmulJob& job) const {
    if (stretch + 1 < stretch_count(job.w.k)) return {panel, stretch + 1};
    return {panel + kAmxPanels, 0};
  }
};

// Where the packed bytes of a place are; null: the job has no such place.
struct PackedPair {
  const uint8_t* panel[kAmxPanels];

  explicit operator bool() const { return panel[0] != nullptr; }
};

// A panel that does not exist repeats the last one.
template <class S>
inline PackedPair packed_at(const MatmulJob& job, Place place) {
  if (place.panel >= job.out.panel_end) return {};
  const uint8_t* first = job.w.data + static_cast<size_t>(place.panel) * job.w.panel_bytes +
                         static_cast<size_t>(place.stretch) * S::kStretchBytes;
  return {first, place.panel + 1 < job.out.panel_end ? first + job.w.panel_bytes : first};
}

// Fetches the packed bytes of a place into L2, a part at each advance().
class PackedFetch {
 public:
  PackedFetch(const PackedPair& pair, int bytes, int advances)
      : at_(pair), left_(pair ? bytes / 64 : 0), lines_((left_ + advances - 1) / advances) {}

  INFERNO_INLINE void advance() {
    const int lines = left_ < lines_ ? left_ : lines_;
    left_ -= lines;
    for (int line = 0; line < lines; ++line) {
      for (const uint8_t*& at : at_.panel) {
        __builtin_prefetch(at, 0, 2);
        at += 64;
      }
    }
  }

 private:
  PackedPair at_;
  int left_;   // lines of each panel
  int lines_;  // at a time
};

// Rows of a block: as many as keep their activations in L2, in blocks of about the same size, whole
// units but for the last. 0: not even one tile's do.
inline int amx_block_rows(int k, int rows) {
  const int fit = kMostBlockBytes / (stretch_count(k) * 256);
  if (fit < kUnitRows) return fit / kAmxTileRows * kAmxTileRows;
  const int most = (fit < kMostBlockRows ? fit : kMostBlockRows) / kUnitRows * kUnitRows;
  const int blocks = (rows + most - 1) / most;
  const int even = (rows + blocks - 1) / blocks;
  return (even + kUnitRows - 1) / kUnitRows * kUnitRows;
}

// totals [rows][kAmxPanels][16] -> y.
inline void write_totals(const MatmulJob& job, const PanelGroup& group,
                         const float (*totals)[kAmxPanels][16]) {
  for (int row = group.row_begin; row < group.row_end; ++row) {
    for (int p = 0; p < group.panels; ++p) {
      write_outputs(job.out, job.w.n, row, group.panel + p, load(totals[row - group.row_begin][p]));
    }
  }
}

// All of a job: Products::begin_rows() configures the tiles and prepares a block of rows,
// Products::multiply_panels() computes and writes them times a group of panels. False, and nothing
// done, when activations are too wide for tiles.
template <class Products>
inline bool multiply_with_tiles(const MatmulJob& job) {
  const int block_rows = amx_block_rows(job.w.k, job.rows);
  if (block_rows == 0) return false;
  for (int row_begin = 0; row_begin < job.rows; row_begin += block_rows) {
    const int row_end = job.rows - row_begin < block_rows ? job.rows : row_begin + block_rows;
    Products::begin_rows(job, row_begin, row_end);
    for (int panel = job.out.panel_begin; panel < job.out.panel_end; panel += kAmxPanels) {
      const int left = job.out.panel_end - panel;
      Products::multiply_panels(job,
                                {row_begin, row_end, panel, left < kAmxPanels ? left : kAmxPanels});
    }
  }
  release_tiles();
  return true;
}

// The kinds of formats. False, and nothing done, for a format that has no AMX products and for
// activations that tiles do not take: too wide a row, or groups with k that is no multiple of 64.
bool amx_groups(const MatmulJob& job);
bool amx_super_blocks(const MatmulJob& job);

}  // namespace inferno::kernel::INFERNO_ISA
