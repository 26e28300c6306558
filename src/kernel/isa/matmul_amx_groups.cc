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

struct Scratch {
  GroupPanel panel[kAmxPanels];
  GatheredRows rows;
  alignas(64) float scale[kGatheredRows][8];  // of the gathered rows, [group]
  alignas(64) float sum[kGatheredRows][8];    // of q, times scale: with minima
  alignas(64) int32_t dots[4][16][16];        // of two pairs of groups
  float totals[kMostBlockRows][kAmxPanels][16];
};
static_assert(sizeof(Scratch) <= kMatmulScratchBytes);

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

// Gathers rows [0, count) of a slice, and zeros up to a whole tile.
template <class S>
void gather(const RowSlice& from, int count, int subs, Scratch& to) {
  const auto groups = static_cast<__mmask8>((1 << subs) - 1);
  const auto sixteens = static_cast<__mmask16>((1 << 2 * subs) - 1);
  const int padded = padded_rows(count);
  for (int row = 0; row < padded; ++row) {
    const bool exists = row < count;
    const size_t r = static_cast<size_t>(exists ? row : 0);
    gather_row(exists ? from.q + r * from.q_stride : nullptr, subs * 32, row, to.rows);
    const __m256 scale = _mm256_maskz_loadu_ps(groups, from.scale + r * from.scale_stride);
    _mm256_store_ps(to.scale[row], exists ? scale : _mm256_setzero_ps());
    if constexpr (S::kMinimum) {
      const __m256i sums = _mm256_maskz_loadu_epi16(sixteens, from.sum + r * from.sum_stride);
      const __m256i pairs = _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
      const __m256 sum = _mm256_mul_ps(_mm256_cvtepi32_ps(pairs), scale);
      _mm256_store_ps(to.sum[row], exists ? sum : _mm256_setzero_ps());
    }
  }
}

// The products of two groups from k on, into dots[0] and dots[1].
INFERNO_INLINE inline void multiply_pair(const GatheredRows& rows, int row_tile, int k,
                                         const GroupPanel& panel, int32_t (*dots)[16][16]) {
  load_tile<4, 15 * 64 + 32>(rows.tile(row_tile, k));
  load_tile<6, 512>(panel.codes[k / 4]);
  zero_tile<0>();
  add_products<0, 4, 6, true>();
  load_tile<5, 15 * 64 + 32>(rows.tile(row_tile, k + 32));
  load_tile<7, 512>(panel.codes[k / 4 + 8]);
  zero_tile<1>();
  add_products<1, 5, 7, true>();
  store_sums<0>(dots[0]);
  store_sums<1>(dots[1]);
}

// One group of 16 rows: total = fma(dot, scale_w * scale_x, total), then the minimum's part.
template <class S>
INFERNO_INLINE inline void add_group(const Scratch& scratch, const GroupPanel& panel, int row,
                                     int group, Floats (&total)[16]) {
  const Floats scale = load(panel.scale[group]);
  Floats minimum = zero();
  if constexpr (S::kMinimum) minimum = load(panel.minimum[group]);
  const int32_t(*dots)[16] = scratch.dots[group % 4];
  unroll<0, 16>([&](auto r) INFERNO_INLINE {
    const Floats scale_x = set1(scratch.scale[row + r][group]);
    total[r] = fma(to_float(load_int(dots[r])), mul(scale, scale_x), total[r]);
    if constexpr (S::kMinimum) {
      total[r] = fma(set1(scratch.sum[row + r][group]), minimum, total[r]);
    }
  });
}

// 16 rows times 256 k of a panel.
template <class S>
__attribute__((noinline)) void multiply_tile_of_rows(Scratch& scratch, int row_tile, int p,
                                                     int subs, float (*totals)[kAmxPanels][16]) {
  const GroupPanel& panel = scratch.panel[p];
  const int row = row_tile * kAmxTileRows;
  Floats total[16];
  unroll<0, 16>([&](auto r) INFERNO_INLINE { total[r] = load(totals[r][p]); });
  multiply_pair(scratch.rows, row_tile, 0, panel, scratch.dots);
  for (int group = 0; group < subs; group += 2) {
    if (group + 2 < subs) {
      multiply_pair(scratch.rows, row_tile, group * 32 + 64, panel, scratch.dots + (group + 2) % 4);
    }
    add_group<S>(scratch, panel, row, group, total);
    if (group + 1 < subs) add_group<S>(scratch, panel, row, group + 1, total);
  }
  unroll<0, 16>([&](auto r) INFERNO_INLINE { store(totals[r][p], total[r]); });
}

template <class S>
struct GroupProducts {
  static void multiply_panels(const MatmulJob& job, const PanelGroup& group) {
    const PackedMatrix& w = job.w;
    Scratch& scratch = *reinterpret_cast<Scratch*>(job.scratch);
    const int rows = group.row_end - group.row_begin;
    const int tiles = padded_rows(rows) / kAmxTileRows;
    __builtin_memset(scratch.totals, 0,
                     sizeof(scratch.totals[0]) * 16 * static_cast<size_t>(tiles));
    const int stretches = stretch_count(w.k);
    for (int stretch = 0; stretch < stretches; ++stretch) {
      const int subs = subs_in<S>(w.k, stretch);
      for (int p = 0; p < kAmxPanels; ++p) {
        const S source(w, stretch_bytes<S>(w, group, p, stretch));
        unpack(source, subs, w.zero_point, scratch.panel[p]);
      }
      NextStretch next = next_stretch<S>(w, group, stretch, tiles);
      for (int tile = 0; tile < tiles; ++tile) {
        const int row = tile * kAmxTileRows;
        if (tile % 2 == 0) {
          const int left = rows - row;
          gather<S>(slice_of(job.x, group.row_begin + row, stretch),
                    left < kGatheredRows ? left : kGatheredRows, subs, scratch);
        }
        next.advance();
        for (int p = 0; p < group.panels; ++p) {
          multiply_tile_of_rows<S>(scratch, tile % 2, p, subs, scratch.totals + row);
        }
      }
    }
    write_totals(job, group, scratch.totals);
  }
};

template <GroupCodes kCodes, bool kHasMinimum>
bool multiply_codes(const MatmulJob& job) {
  multiply_with_tiles<GroupProducts<GroupSource<kCodes, kHasMinimum>>>(job, kTilesOf32);
  return true;
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
