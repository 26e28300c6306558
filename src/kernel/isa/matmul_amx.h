// What the AMX products of both kinds of quantized formats share: the walk over the outputs, rows
// of activations gathered for tiles, and the fetching of the next packed bytes.
//
// For blocks of rows whose activations stay in L2, for two panels at a time, for 256 k at a time:
// the weights of both panels are unpacked into tiles in L1 once; then 32 rows after the other are
// gathered (contiguous, zeros after the last) and multiplied. Running sums of floats wait in
// scratch. The arithmetic on them is the one of kernels.h, so bits equal those of other tables.
//
// Few rows leave most of a tile empty: below kLeastAmxRows the AVX-512 products are used.
#pragma once

#include "kernel/isa/amx_tiles.h"
#include "kernel/isa/matmul_tiles.h"
#include "kernel/kernels.h"

namespace inferno::kernel::INFERNO_ISA {

// From here on a tile of 16 rows costs less than as many rows of vpdpbusd: about 350 cycles for
// 256 k of a panel of Q4_K, as counted, against some 46 a row.
inline constexpr int kLeastAmxRows = 9;

inline constexpr int kAmxPanels = 2;
inline constexpr int kGatheredRows = 2 * kAmxTileRows;
inline constexpr int kMostBlockRows = 512;  // whose totals scratch has room for

// 256 k of up to 32 rows: tiles of 16 rows by 64 k.
struct alignas(64) GatheredRows {
  int8_t q[4][kGatheredRows][64];

  // The 32 (or 64) k from k on, of tile `row_tile`.
  const int8_t* tile(int row_tile, int k) const {
    return &q[k / 64][row_tile * kAmxTileRows][k % 64];
  }
};

// Rows that tiles hold for `rows` rows: the next multiple of 16.
inline int padded_rows(int rows) {
  return (rows + kAmxTileRows - 1) / kAmxTileRows * kAmxTileRows;
}

// Copies `k` (at most 256) elements of a row; zeros follow. Null: zeros only.
inline void gather_row(const int8_t* from, int k, int row, GatheredRows& to) {
  for (int i = 0; i < 4; ++i) {
    const int left = from == nullptr ? 0 : k - i * 64;
    const uint64_t mask = left >= 64 ? ~uint64_t{0} : left <= 0 ? 0 : (uint64_t{1} << left) - 1;
    _mm512_store_si512(to.q[i][row], _mm512_maskz_loadu_epi8(mask, from + i * 64));
  }
}

// Fetches the packed bytes of the next 256 k of two panels into L2, a part at each advance().
class NextStretch {
 public:
  NextStretch(const uint8_t* const (&panels)[kAmxPanels], int bytes, int advances)
      : at_{panels[0], panels[1]}, lines_((bytes / 64 + advances - 1) / advances) {}

  INFERNO_INLINE void advance() {
    for (int line = 0; line < lines_; ++line) {
      for (const uint8_t*& at : at_) {
        __builtin_prefetch(at, 0, 2);
        at += 64;
      }
    }
  }

 private:
  const uint8_t* at_[kAmxPanels];
  int lines_;
};

// Where 256 k of a panel of the group are. A panel that does not exist repeats the last one.
template <class S>
inline const uint8_t* stretch_bytes(const PackedMatrix& w, const PanelGroup& group, int panel,
                                    int stretch) {
  const int existing = panel < group.panels ? panel : group.panels - 1;
  return w.data + static_cast<size_t>(group.panel + existing) * w.panel_bytes +
         static_cast<size_t>(stretch) * S::kStretchBytes;
}

// The bytes that are needed after stretch `stretch`: the next one, or the next panels.
template <class S>
inline NextStretch next_stretch(const PackedMatrix& w, const PanelGroup& group, int stretch,
                                int advances) {
  const bool is_last = stretch + 1 == stretch_count(w.k);
  const size_t skip = is_last ? kAmxPanels * w.panel_bytes : 0;
  const int following = is_last ? 0 : stretch + 1;
  return {{stretch_bytes<S>(w, group, 0, following) + skip,
           stretch_bytes<S>(w, group, 1, following) + skip},
          S::kStretchBytes,
          advances};
}

// Rows of a block: as many as keep their activations in L2 (1 MiB of it), in blocks of about the
// same size, whole gathers but for the last.
inline int amx_block_rows(int k, int rows) {
  const int fit = (1 << 20) / k;
  const int limit = fit < kGatheredRows    ? kGatheredRows
                    : fit > kMostBlockRows ? kMostBlockRows
                                           : fit;
  const int most = limit / kGatheredRows * kGatheredRows;
  const int blocks = (rows + most - 1) / most;
  const int even = (rows + blocks - 1) / blocks;
  return (even + kGatheredRows - 1) / kGatheredRows * kGatheredRows;
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

// All of a job: Products::multiply_panels(job, group) computes and writes a block of rows times a
// group of panels.
template <class Products>
inline void multiply_with_tiles(const MatmulJob& job, const TileConfig& config) {
  configure_tiles(config);
  const int block_rows = amx_block_rows(job.w.k, job.rows);
  for (int row_begin = 0; row_begin < job.rows; row_begin += block_rows) {
    const int row_end = job.rows - row_begin < block_rows ? job.rows : row_begin + block_rows;
    for (int panel = job.out.panel_begin; panel < job.out.panel_end; panel += kAmxPanels) {
      const int left = job.out.panel_end - panel;
      Products::multiply_panels(job,
                                {row_begin, row_end, panel, left < kAmxPanels ? left : kAmxPanels});
    }
  }
  release_tiles();
}

// The kinds of formats, for at least kLeastAmxRows rows. False, and nothing done, for a format
// that has no AMX products.
bool amx_groups(const MatmulJob& job);
bool amx_super_blocks(const MatmulJob& job);

}  // namespace inferno::kernel::INFERNO_ISA
