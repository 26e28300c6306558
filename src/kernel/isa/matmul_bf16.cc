// Matrix products with bfloat16 weights and activations (kBF16): per output and block of 32 k two
// chains of fma, one over even and one over odd k, as kernels.h defines them.
//
// Few rows: panels side by side, weights widened in registers, so that the packed bytes pass
// through the core once; memory is the bound.
// Many rows: blocks of rows; for each, kTilePanels panels at a time; for each, kTileUnits units of
// 32 k at a time: weights widened to floats once, then all rows in blocks of kTileRows against
// them. Running sums wait in scratch.
#include "kernel/isa/bf16.h"
#include "kernel/isa/matmul.h"
#include "kernel/isa/outputs.h"
#include "kernel/isa/unroll.h"
#include "kernel/isa/vec.h"
#include "kernel/kernels.h"

namespace inferno::kernel::INFERNO_ISA {
namespace {

#if defined(INFERNO_ISA_AVX512)
constexpr int kTilePanels = 2;  // 6 x 2 pairs of chains of 32 registers
constexpr int kTileRows = 6;
constexpr int kFewRows = 8;
constexpr int direct_panels(int rows) {
  return rows == 1 ? 4 : rows <= 4 ? 2 : 1;
}
#elif defined(INFERNO_ISA_AVX2)
constexpr int kTilePanels = 1;  // 3 pairs of chains, two registers each, of 16
constexpr int kTileRows = 3;
constexpr int kFewRows = 3;
constexpr int direct_panels(int rows) {
  return rows == 1 ? 2 : 1;
}
#else
constexpr int kTilePanels = 1;
constexpr int kTileRows = 1;
constexpr int kFewRows = 3;
constexpr int direct_panels(int) {
  return 1;
}
#endif
constexpr int kUnit = layout::kRoundedK;
constexpr int kUnitBytes = layout::kRoundedTileBytes;
constexpr int kTileUnits = 4;
constexpr int kBlockRows = 240;

struct Job {
  const PackedMatrix& w;
  const RoundedRows& x;
  int rows;
  const MatmulOutput& out;
  uint8_t* scratch;
  int prefetch_bytes;
};

struct Scratch {
  float tile[kTileUnits * kUnit][kTilePanels][16];
  float x[kTileRows][kTileUnits * kUnit];
  float totals[kBlockRows][kTilePanels][16];
};

// The 32 activations of a row and unit, as floats.
inline void widen_row(const Job& job, int row, int unit, float* to) {
  const uint16_t* from = job.x.x + rounded_offset(rounded_units(job.w.k), row, unit);
  store(to, load_bf16(from));
  store(to + 16, load_bf16(from + 16));
}

// Weights of a unit as they are packed, panels `stride` bytes apart.
struct PackedUnit {
  const uint8_t* bytes;
  size_t stride;
  int prefetch_bytes;
  INFERNO_INLINE FloatPairs pair(int i, int panel) const {
    const uint8_t* at = bytes + static_cast<size_t>(panel) * stride + i * 64;
    __builtin_prefetch(at + prefetch_bytes);
    return load_bf16_pairs(reinterpret_cast<const uint16_t*>(at));
  }
};

// Weights of a unit as floats.
struct WideUnit {
  const float (*tile)[kTilePanels][16];
  INFERNO_INLINE FloatPairs pair(int i, int panel) const {
    return {load(tile[2 * i][panel]), load(tile[2 * i + 1][panel])};
  }
};

// total += (even + odd) over one unit. x: [kRows] rows `x_stride` floats apart.
template <class Unit, int kRows, int kPanels>
INFERNO_INLINE inline void add_unit(const Unit& weights, const float* x, size_t x_stride,
                                    Floats (&total)[kRows][kPanels]) {
  Floats even[kRows][kPanels], odd[kRows][kPanels];
  unroll<0, kRows * kPanels>([&](auto i) INFERNO_INLINE {
    even[i / kPanels][i % kPanels] = odd[i / kPanels][i % kPanels] = zero();
  });
  for (int i = 0; i < kUnit / 2; ++i) {
    unroll<0, kPanels>([&](auto p) INFERNO_INLINE {
      const FloatPairs w = weights.pair(i, p);
      unroll<0, kRows>([&](auto r) INFERNO_INLINE {
        const float* at = x + r * x_stride + 2 * i;
        even[r][p] = fma(set1(at[0]), w.first, even[r][p]);
        odd[r][p] = fma(set1(at[1]), w.second, odd[r][p]);
      });
    });
  }
  unroll<0, kRows * kPanels>([&](auto i) INFERNO_INLINE {
    constexpr int kRow = i / kPanels, kPanel = i % kPanels;
    total[kRow][kPanel] = add(total[kRow][kPanel], add(even[kRow][kPanel], odd[kRow][kPanel]));
  });
}

// All of k for kRows rows by kPanels panels from `panel` on.
template <int kRows, int kPanels>
__attribute__((noinline)) void multiply_direct(const Job& job, int panel) {
  const uint8_t* bytes = job.w.data + static_cast<size_t>(panel) * job.w.panel_bytes;
  Floats total[kRows][kPanels];
  unroll<0, kRows * kPanels>([&](auto i)
                                 INFERNO_INLINE { total[i / kPanels][i % kPanels] = zero(); });
  const int units = rounded_units(job.w.k);
  for (int unit = 0; unit < units; ++unit, bytes += kUnitBytes) {
    float x[kRows][kUnit];
    for (int r = 0; r < kRows; ++r)
      widen_row(job, r, unit, x[r]);
    add_unit(PackedUnit{bytes, job.w.panel_bytes, job.prefetch_bytes}, x[0], kUnit, total);
  }
  unroll<0, kRows * kPanels>([&](auto i) INFERNO_INLINE {
    write_outputs(job.out, job.w.n, i / kPanels, panel + i % kPanels,
                  total[i / kPanels][i % kPanels]);
  });
}

template <int kRows>
inline void multiply_few(const Job& job) {
  if constexpr (kRows > 1) {
    if (job.rows < kRows) return multiply_few<kRows - 1>(job);
  }
  constexpr int kPanels = direct_panels(kRows);
  int panel = job.out.panel_begin;
  for (; panel + kPanels <= job.out.panel_end; panel += kPanels) {
    multiply_direct<kRows, kPanels>(job, panel);
  }
  for (; panel < job.out.panel_end; ++panel) {
    multiply_direct<kRows, 1>(job, panel);
  }
}

// kRows rows from `row` of a block on, against the tile.
template <int kRows>
__attribute__((noinline)) void multiply_tile(Scratch& scratch, int row, int units) {
  Floats total[kRows][kTilePanels];
  float* totals = scratch.totals[row][0];
  unroll<0, kRows * kTilePanels>([&](auto i) INFERNO_INLINE {
    total[i / kTilePanels][i % kTilePanels] = load(totals + i * 16);
  });
  for (int unit = 0; unit < units; ++unit) {
    add_unit(WideUnit{scratch.tile + unit * kUnit}, scratch.x[0] + unit * kUnit, kTileUnits * kUnit,
             total);
  }
  unroll<0, kRows * kTilePanels>([&](auto i) INFERNO_INLINE {
    store(totals + i * 16, total[i / kTilePanels][i % kTilePanels]);
  });
}

template <int kRows>
inline void multiply_tile_rows(Scratch& scratch, int row, int rows, int units) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return multiply_tile_rows<kRows - 1>(scratch, row, rows, units);
  }
  multiply_tile<kRows>(scratch, row, units);
}

void widen_tile(const Job& job, const PanelGroup& group, int first_unit, int units,
                Scratch& scratch) {
  for (int p = 0; p < kTilePanels; ++p) {  // a panel that does not exist repeats the last
    const int panel = group.panel + (p < group.panels ? p : group.panels - 1);
    const uint8_t* bytes = job.w.data + static_cast<size_t>(panel) * job.w.panel_bytes +
                           static_cast<size_t>(first_unit) * kUnitBytes;
    for (int pair = 0; pair < units * kUnit / 2; ++pair) {
      const auto w = load_bf16_pairs(reinterpret_cast<const uint16_t*>(bytes + pair * 64));
      store(scratch.tile[2 * pair][p], w.first);
      store(scratch.tile[2 * pair + 1][p], w.second);
    }
  }
}

void multiply_group(const Job& job, const PanelGroup& group) {
  Scratch& scratch = *reinterpret_cast<Scratch*>(job.scratch);
  const int rows = group.row_end - group.row_begin;
  __builtin_memset(scratch.totals, 0, sizeof(scratch.totals[0]) * static_cast<size_t>(rows));
  const int all_units = rounded_units(job.w.k);
  for (int first = 0; first < all_units; first += kTileUnits) {
    const int units = all_units - first < kTileUnits ? all_units - first : kTileUnits;
    widen_tile(job, group, first, units, scratch);
    for (int row = 0; row < rows; row += kTileRows) {
      for (int r = 0; r < kTileRows && row + r < rows; ++r) {
        for (int unit = 0; unit < units; ++unit)
          widen_row(job, group.row_begin + row + r, first + unit, scratch.x[r] + unit * kUnit);
      }
      multiply_tile_rows<kTileRows>(scratch, row, rows - row, units);
    }
  }
  for (int row = 0; row < rows; ++row) {
    for (int p = 0; p < group.panels; ++p)
      write_outputs(job.out, job.w.n, group.row_begin + row, group.panel + p,
                    load(scratch.totals[row][p]));
  }
}

__attribute__((noinline)) void multiply(const Job& job) {
  if (job.rows <= kFewRows) return multiply_few<kFewRows>(job);
  for (int row = 0; row < job.rows; row += kBlockRows) {
    const int row_end = row + kBlockRows < job.rows ? row + kBlockRows : job.rows;
    for (int panel = job.out.panel_begin; panel < job.out.panel_end; panel += kTilePanels) {
      const int left = job.out.panel_end - panel;
      multiply_group(job, {row, row_end, panel, left < kTilePanels ? left : kTilePanels});
    }
  }
}

}  // namespace

void matmul_bf16(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                 uint8_t* scratch) {
  static_assert(sizeof(Scratch) <= kMatmulScratchBytes);
  const Job job = {w, *x.rounded, x.rows, out, scratch, x.prefetch_bytes};
  const FlushToZero scope;
  multiply(job);
}

}  // namespace inferno::kernel::INFERNO_ISA
