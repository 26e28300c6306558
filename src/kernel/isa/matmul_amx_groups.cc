// AMX products of the formats with one scale per group of 32 k: kQ4, kQ5, kQ8.
//
// Each group needs its own exact int32, so a product covers 32 k (tiles half full) and is stored;
// while the tile unit works on one pair of groups, the vector unit scales and adds the pair before,
// its 16 running sums in registers. Weights are unpacked as signed bytes, the zero point already
// subtracted: then the sums of the activations are needed for minima only.
#if defined(INFERNO_ISA_AVX512)
#include "kernel/isa/matmul_amx.h"

namespace inferno::kernel::INFERNO_ISA {
namespace {

// 256 k of a panel.
struct GroupPanel {
  alignas(64) uint8_t codes[64][64];  // [step]
  float scale[8][16];
  float minimum[8][16];
};

// Of a row and 256 k, [group].
template <bool kMinimum>
struct GroupFactors {
  float scale[8];
  float sum[kMinimum ? 8 : 1];  // of q, times scale

  INFERNO_INLINE void set(const RowSlice& from, size_t row, int k) {
    const int groups = k / layout::kGroup;
    const auto first = static_cast<__mmask8>((1 << groups) - 1);
    const __m256 scales = _mm256_maskz_loadu_ps(first, from.scale + row * from.scale_stride);
    _mm256_storeu_ps(scale, scales);
    if constexpr (kMinimum) {
      const auto sixteens = static_cast<__mmask16>((1 << 2 * groups) - 1);
      const __m256i sums = _mm256_maskz_loadu_epi16(sixteens, from.sum + row * from.sum_stride);
      const __m256i pairs = _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
      _mm256_storeu_ps(sum, _mm256_mul_ps(_mm256_cvtepi32_ps(pairs), scales));
    }
  }
};

template <bool kMinimum>
struct Scratch {
  AmxRows<GroupFactors<kMinimum>> rows;
  GroupPanel panel[kAmxPanels];
  alignas(64) int32_t dots[4][16][16];  // of two pairs of groups
  float totals[kMostBlockRows][kAmxPanels][16];
};
static_assert(sizeof(Scratch<true>) <= kMatmulScratchBytes);

template <class S>
void unpack(const S& source, int subs, int zero_point, GroupPanel& panel) {
  const __m512i zero_points = _mm512_set1_epi8(static_cast<char>(S::kMinimum ? 0 : zero_point));
  for (int group = 0; group < subs; ++group) {
    unroll<0, 8>([&](auto step) INFERNO_INLINE {
      const __m512i codes = source.codes(group, step).v;
      _mm512_store_si512(panel.codes[group * 8 + step], _mm512_sub_epi8(codes, zero_points));
    });
    store(panel.scale[group], source.scale(group));
    if constexpr (S::kMinimum) store(panel.minimum[group], source.minimum(group));
  }
}

// The products of two groups from k on, into dots[0] and dots[1].
INFERNO_INLINE inline void multiply_pair(const int8_t* tiles, int k, const GroupPanel& panel,
                                         int32_t (*dots)[16][16]) {
  const int8_t* tile = tiles + k / 64 * 1024;
  load_tile<4, 15 * 64 + 32>(tile);
  load_tile<6, 512>(panel.codes[k / 4]);
  zero_tile<0>();
  add_products<0, 4, 6, true>();
  load_tile<5, 15 * 64 + 32>(tile + 32);
  load_tile<7, 512>(panel.codes[k / 4 + 8]);
  zero_tile<1>();
  add_products<1, 5, 7, true>();
  store_sums<0>(dots[0]);
  store_sums<1>(dots[1]);
}

// One group of 16 rows: total = fma(dot, scale_w * scale_x, total), then the minimum's part.
template <class S>
INFERNO_INLINE inline void add_group(const Scratch<S::kMinimum>& scratch, const GroupPanel& panel,
                                     const GroupFactors<S::kMinimum>* factors, int group,
                                     Floats (&total)[16]) {
  const Floats scale = load(panel.scale[group]);
  Floats minimum = zero();
  if constexpr (S::kMinimum) minimum = load(panel.minimum[group]);
  const int32_t(*dots)[16] = scratch.dots[group % 4];
  unroll<0, 16>([&](auto r) INFERNO_INLINE {
    const Floats scale_x = set1(factors[r].scale[group]);
    total[r] = fma(to_float(load_int(dots[r])), mul(scale, scale_x), total[r]);
    if constexpr (S::kMinimum) {
      total[r] = fma(set1(factors[r].sum[group]), minimum, total[r]);
    }
  });
}

// 16 rows times 256 k of a panel.
struct TileProduct {
  int stretch;
  int row;    // the first
  int panel;  // of the group
  int subs;
};
template <class S>
__attribute__((noinline)) void multiply_tile_of_rows(Scratch<S::kMinimum>& scratch,
                                                     const TileProduct& product) {
  const GroupPanel& panel = scratch.panel[product.panel];
  const int8_t* tiles = scratch.rows.tiles(product.stretch, product.row / kAmxTileRows);
  const auto* factors = scratch.rows.factors + scratch.rows.at(product.stretch, product.row);
  float(*totals)[kAmxPanels][16] = scratch.totals + product.row;
  const int p = product.panel;
  Floats total[16];
  unroll<0, 16>([&](auto r) INFERNO_INLINE { total[r] = load(totals[r][p]); });
  multiply_pair(tiles, 0, panel, scratch.dots);
  for (int group = 0; group < product.subs; group += 2) {
    if (group + 2 < product.subs) {
      multiply_pair(tiles, group * 32 + 64, panel, scratch.dots + (group + 2) % 4);
    }
    add_group<S>(scratch, panel, factors, group, total);
    if (group + 1 < product.subs) add_group<S>(scratch, panel, factors, group + 1, total);
  }
  unroll<0, 16>([&](auto r) INFERNO_INLINE { store(totals[r][p], total[r]); });
}

template <class S>
struct GroupProducts {
  static Scratch<S::kMinimum>& scratch_of(const MatmulJob& job) {
    return *reinterpret_cast<Scratch<S::kMinimum>*>(job.scratch);
  }

  static void begin_rows(const MatmulJob& job, int row_begin, int row_end) {
    arrange_rows(job, row_begin, row_end, scratch_of(job).rows);
  }

  static void multiply_panels(const MatmulJob& job, const PanelGroup& group) {
    const PackedMatrix& w = job.w;
    Scratch<S::kMinimum>& scratch = scratch_of(job);
    const int rows = scratch.rows.rows;
    __builtin_memset(scratch.totals, 0, sizeof(scratch.totals[0]) * static_cast<size_t>(rows));
    const int stretches = stretch_count(w.k);
    for (int stretch = 0; stretch < stretches; ++stretch) {
      const int subs = subs_in<S>(w.k, stretch);
      for (int p = 0; p < kAmxPanels; ++p) {
        const S source(w, stretch_bytes<S>(w, group, p, stretch));
        unpack(source, subs, w.zero_point, scratch.panel[p]);
      }
      NextStretch next = next_stretch<S>(w, group, stretch, rows / kAmxTileRows);
      for (int row = 0; row < rows; row += kAmxTileRows) {
        next.advance();
        for (int p = 0; p < group.panels; ++p) {
          multiply_tile_of_rows<S>(scratch, {stretch, row, p, subs});
        }
      }
    }
    write_totals(job, group, scratch.totals);
  }
};

template <GroupCodes kCodes, bool kHasMinimum>
bool multiply_codes(const MatmulJob& job) {
  return multiply_with_tiles<GroupProducts<GroupSource<kCodes, kHasMinimum>>>(job, kTilesOf32);
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
