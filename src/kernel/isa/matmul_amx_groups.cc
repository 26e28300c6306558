// AMX products of the formats with one scale per group of 32 k: kQ4, kQ5, kQ8.
//
// Each group needs its own exact int32, so a product covers 32 k and is stored. Activations stay in
// four tiles of 64 k for both panels; weights are a group, and zeros for the other half of 64 k.
// While the tile unit works on a group, the vector unit scales and adds the group before, in 16
// registers of running sums. Weights are unpacked as signed bytes, the zero point already
// subtracted: then the sums of the activations are needed for minima only.
//
// Tiles take activations from where they are. The last tile of a block of rows ends with it: it
// begins among the rows of the one before, which it computes again and does not write.
#if defined(INFERNO_ISA_AVX512)
#include "kernel/isa/matmul_amx.h"

namespace inferno::kernel::INFERNO_ISA {
namespace {

// Tiles 0 and 1 are sums, 2 and 3 weights, 4 to 7 the activations of 256 k.
TileConfig tiles_of_groups(uint8_t rows) {
  return {1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {rows, rows, 16, 16, rows, rows, rows, rows}};
}

// 256 k of a panel.
struct GroupPanel {
  alignas(64) uint8_t codes[8][16][64];  // [group]; eight steps are zeros
  float scale[8][16];
  float minimum[8][16];
};

// Of a row and 256 k, [group].
template <bool kMinimum>
struct GroupFactors {
  float scale[8];
  float sum[kMinimum ? 8 : 1];  // of q, times scale

  INFERNO_INLINE void set(const RowSlice& from, size_t row, int k) {
    const auto groups = static_cast<__mmask8>((1 << k / layout::kGroup) - 1);
    const __m256 scales = _mm256_maskz_loadu_ps(groups, from.scale + row * from.scale_stride);
    _mm256_storeu_ps(scale, scales);
    if constexpr (kMinimum) {
      const auto sixteens = static_cast<__mmask16>((1 << k / 16) - 1);
      const __m256i sums = _mm256_maskz_loadu_epi16(sixteens, from.sum + row * from.sum_stride);
      const __m256i pairs = _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
      _mm256_storeu_ps(sum, _mm256_mul_ps(_mm256_cvtepi32_ps(pairs), scales));
    }
  }
};

template <bool kMinimum>
struct Scratch {
  int rows;                                                          // of the block
  GroupFactors<kMinimum> factors[kMostRowStretches + kAmxTileRows];  // [stretch][row]
  GroupPanel panel[kAmxPanels];
  alignas(64) int32_t dots[4][16][16];           // [group mod 4]
  float totals[kMostBlockRows][kAmxPanels][16];  // [tile][row of it]
};
static_assert(sizeof(Scratch<true>) <= kMatmulScratchBytes);

template <class S>
void unpack(const S& source, int subs, int zero_point, GroupPanel& panel) {
  const __m512i zero_points = _mm512_set1_epi8(static_cast<char>(S::kMinimum ? 0 : zero_point));
  for (int group = 0; group < subs; ++group) {
    unroll<0, 8>([&](auto step) INFERNO_INLINE {
      const __m512i codes = source.codes(group, step).v;
      _mm512_store_si512(panel.codes[group][group % 2 * 8 + step],
                         _mm512_sub_epi8(codes, zero_points));
    });
    store(panel.scale[group], source.scale(group));
    if constexpr (S::kMinimum) store(panel.minimum[group], source.minimum(group));
  }
}

// The rows of a tile times 256 k of a panel.
template <class Factors>
struct Unit {
  const int8_t* q;  // of the rows
  size_t q_stride;
  const Factors* factors;  // of the rows
  const GroupPanel* panel;
  int groups;
  int32_t (*dots)[16][16];  // [group mod 4]
  float* totals;            // of the rows, kTotalsStride apart
  const int8_t* next;       // rows to fetch
  bool loads_rows;          // into their tiles, where they stay for the next panel
};
inline constexpr size_t kTotalsStride = kAmxPanels * 16;

template <int kGroup>
INFERNO_INLINE inline void multiply_group(const GroupPanel& panel) {
  constexpr int kRows = 4 + kGroup / 2, kWeights = 2 + kGroup % 2, kSums = kGroup % 2;
  load_tile<kWeights, 1024>(panel.codes[kGroup]);
  zero_tile<kSums>();
  add_products<kSums, kRows, kWeights, true>();
}

// One group: total = fma(dot, scale_w * scale_x, total), then the minimum's part.
template <class S, int kGroup>
INFERNO_INLINE inline void add_group(const Unit<GroupFactors<S::kMinimum>>& unit,
                                     Floats (&total)[kAmxTileRows]) {
  const Floats scale = load(unit.panel->scale[kGroup]);
  Floats minimum = zero();
  if constexpr (S::kMinimum) minimum = load(unit.panel->minimum[kGroup]);
  const int32_t(*dots)[16] = unit.dots[kGroup % 4];
  unroll<0, kAmxTileRows>([&](auto r) INFERNO_INLINE {
    const Floats scale_x = set1(unit.factors[r].scale[kGroup]);
    total[r] = fma(to_float(load_int(dots[r])), mul(scale, scale_x), total[r]);
    if constexpr (S::kMinimum) {
      total[r] = fma(set1(unit.factors[r].sum[kGroup]), minimum, total[r]);
    }
  });
}

// Multiplies one group while the group before is scaled and added.
template <class S>
__attribute__((noinline)) void multiply_unit(const Unit<GroupFactors<S::kMinimum>>& unit) {
  Floats total[kAmxTileRows];
  unroll<0, kAmxTileRows>([&](auto r)
                              INFERNO_INLINE { total[r] = load(unit.totals + r * kTotalsStride); });
  unroll<0, 9>([&](auto group) INFERNO_INLINE {
    if constexpr (group < 8) {
      if (group < unit.groups) {
        if constexpr (group % 2 == 0) {
          if (unit.loads_rows) load_rows<4 + group / 2>(unit.q + group * 32, unit.q_stride);
        }
        multiply_group<group>(*unit.panel);
        store_sums<group % 2>(unit.dots[group % 4]);
        for (int line = 0; line < 4; ++line)
          __builtin_prefetch(unit.next + group * unit.q_stride + line * 64);
      }
    }
    if constexpr (group > 0) {
      if (group <= unit.groups) add_group<S, group - 1>(unit, total);
    }
  });
  unroll<0, kAmxTileRows>([&](auto r)
                              INFERNO_INLINE { store(unit.totals + r * kTotalsStride, total[r]); });
}

template <class S>
struct GroupProducts {
  using Factors = GroupFactors<S::kMinimum>;

  static Scratch<S::kMinimum>& scratch_of(const MatmulJob& job) {
    return *reinterpret_cast<Scratch<S::kMinimum>*>(job.scratch);
  }

  static void begin_rows(const MatmulJob& job, int row_begin, int row_end) {
    Scratch<S::kMinimum>& scratch = scratch_of(job);
    scratch.rows = row_end - row_begin;
    configure_tiles(tiles_of_groups(static_cast<uint8_t>(tile_rows(scratch.rows))));
    __builtin_memset(scratch.panel, 0, sizeof(scratch.panel));
    Factors* factors = scratch.factors;
    for (int stretch = 0; stretch < stretch_count(job.w.k); ++stretch) {
      const RowSlice from = slice_of(job.x, row_begin, stretch);
      const int left = job.w.k - stretch * 256;
      for (int row = 0; row < scratch.rows; ++row, ++factors)
        factors->set(from, static_cast<size_t>(row), left < 256 ? left : 256);
    }
    for (int row = 0; row < kAmxTileRows; ++row, ++factors)
      *factors = {};
  }

  // Rows of each tile, and where a tile begins. Tiles of fewer than 16 rows are finished as if they
  // had 16; nobody reads the others.
  static int tile_rows(int rows) { return rows < kAmxTileRows ? rows : kAmxTileRows; }
  static int first_row(int rows, int tile) {
    const int last = rows - tile_rows(rows);
    return tile * kAmxTileRows < last ? tile * kAmxTileRows : last;
  }

  // All rows of a block times 256 k of the unpacked panels.
  static void multiply_stretch(const MatmulJob& job, const PanelGroup& group, int stretch) {
    Scratch<S::kMinimum>& scratch = scratch_of(job);
    const int rows = scratch.rows;
    const int tiles = (rows + kAmxTileRows - 1) / kAmxTileRows;
    const RowSlice from = slice_of(job.x, group.row_begin, stretch);
    PackedFetch next(packed_at<S>(job, Place{group.panel, stretch}.next(job)), S::kStretchBytes,
                     tiles);
    for (int tile = 0; tile < tiles; ++tile) {
      next.advance();
      const int row = first_row(rows, tile);
      const int following = first_row(rows, tile + 1 < tiles ? tile + 1 : 0);
      for (int p = 0; p < group.panels; ++p) {
        const int half = rows < kAmxTileRows ? 0 : p * 8;
        multiply_unit<S>({from.q + static_cast<size_t>(row) * from.q_stride, from.q_stride,
                          scratch.factors + stretch * rows + row, &scratch.panel[p],
                          subs_in<S>(job.w.k, stretch), scratch.dots,
                          scratch.totals[tile * kAmxTileRows][p],
                          from.q + static_cast<size_t>(following + half) * from.q_stride, p == 0});
      }
    }
  }

  static void multiply_panels(const MatmulJob& job, const PanelGroup& group) {
    const PackedMatrix& w = job.w;
    Scratch<S::kMinimum>& scratch = scratch_of(job);
    __builtin_memset(scratch.totals, 0,
                     sizeof(scratch.totals[0]) * static_cast<size_t>(padded_rows(scratch.rows)));
    for (int stretch = 0; stretch < stretch_count(w.k); ++stretch) {
      const PackedPair packed = packed_at<S>(job, {group.panel, stretch});
      for (int p = 0; p < group.panels; ++p) {
        const S source(w, packed.panel[p]);
        unpack(source, subs_in<S>(w.k, stretch), w.zero_point, scratch.panel[p]);
      }
      multiply_stretch(job, group, stretch);
    }
    write_rows(job, group);
  }

  // totals -> y.
  static void write_rows(const MatmulJob& job, const PanelGroup& group) {
    const Scratch<S::kMinimum>& scratch = scratch_of(job);
    for (int row = 0; row < scratch.rows; ++row) {
      const int tile = row / kAmxTileRows;
      const int at = tile * kAmxTileRows + row - first_row(scratch.rows, tile);
      for (int p = 0; p < group.panels; ++p) {
        write_outputs(job.out, job.w.n, group.row_begin + row, group.panel + p,
                      load(scratch.totals[at][p]));
      }
    }
  }
};

template <class S>
bool multiply_rows(const MatmulJob& job) {
  if (job.w.k % 64 != 0) return false;  // a tile would read behind the last row
  return multiply_with_tiles<GroupProducts<S>>(job);
}

template <GroupCodes kCodes, bool kHasMinimum>
bool multiply_codes(const MatmulJob& job) {
  return multiply_rows<GroupSource<kCodes, kHasMinimum>>(job);
}

}  // namespace

bool amx_groups(const MatmulJob& job) {
  const PackedMatrix& w = job.w;
  switch (w.format) {
    case PackedFormat::kQ4:
      if (w.codebook != nullptr) {
        PackedMatrix centred = w;
        centred.zero_point = 128;  // levels are looked up as level + 128
        return multiply_codes<GroupCodes::kCodebook, false>(
            {centred, job.x, job.rows, job.out, job.scratch});
      }
      if (w.has_minimum) return multiply_codes<GroupCodes::kNibbles, true>(job);
      return multiply_codes<GroupCodes::kNibbles, false>(job);
    case PackedFormat::kQ5:
      if (w.has_minimum) return multiply_codes<GroupCodes::kNibblesAndBits, true>(job);
      return multiply_codes<GroupCodes::kNibblesAndBits, false>(job);
    case PackedFormat::kQ8:
      return multiply_codes<GroupCodes::kBytes, false>(job);
    default:
      return false;
  }
}

}  // namespace inferno::kernel::INFERNO_ISA
#endif
