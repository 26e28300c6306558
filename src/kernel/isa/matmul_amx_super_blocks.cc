// AMX products of the formats with super-blocks of 256 k and integer sub-scales (the K formats).
//
// The sub-scales go into the weights: w = sub_scale * (code - zero point), at most 14 bits, is
// written as one or two bytes (Fold below says which for which format), so that the exact sum of
// 256 k stays in the tile unit; what is stored is one int32, or two of which it is made. A unit of
// work is 32 rows by two columns of tiles:
//
//   w of one byte    columns = panels p, p + 1      of two    columns = low, high bytes of a panel
//
//   rows 0-15    sums 0   sums 1        each k step of 64: 4 tiles loaded, 4 products
//   rows 16-31   sums 2   sums 3
//
// While the tile unit works on one unit, the vector unit finishes the one before: after each k
// step, a quarter of its rows.
#if defined(INFERNO_ISA_AVX512)
#include "kernel/isa/matmul_amx.h"

namespace inferno::kernel::INFERNO_ISA {
namespace {

// 256 k of a panel.
struct SuperPanel {
  alignas(64) uint8_t part[2][64][64];  // low and high bytes of w, [step]
  float d[16];
  float dmin[16];
  int32_t minima[8][16];  // pairs of int16
};

// Of a row: its scale, and the sums of q that minima are multiplied with, in pairs of int16, over
// 16 k each or over 32.
template <bool kMinimum, bool kOf16>
struct RowFactors {
  float scale;
  int32_t sums[8];

  INFERNO_INLINE void set(const RowSlice& from, size_t row, int) {
    scale = from.scale[row * from.scale_stride];
    if constexpr (!kMinimum) return;
    const int16_t* sum = from.sum + row * from.sum_stride;
    const __m256i sixteens = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sum));
    if constexpr (kOf16) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums), sixteens);
    } else {
      const __m256i wide = _mm256_madd_epi16(sixteens, _mm256_set1_epi16(1));
      const __m128i upper = _mm256_extracti128_si256(wide, 1);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(sums),
                       _mm_packs_epi32(_mm256_castsi256_si128(wide), upper));
    }
  }
};
template <class S>
using FactorsOf = RowFactors<S::kMinimum, S::kSteps == 4>;

template <class Factors>
struct Scratch {
  AmxRows<Factors> rows;
  SuperPanel panel[kAmxPanels];
  alignas(64) int32_t dots[2][2][2][16][16];  // of the unit being multiplied, and the one before
  float totals[kMostBlockRows][kAmxPanels][16];
};
static_assert(sizeof(Scratch<RowFactors<true, true>>) <= kMatmulScratchBytes);

// Each of 16 lanes repeated in both of its halves, or all four of its bytes.
inline __m512i twice(__m512i v) {
  return _mm512_mullo_epi32(v, _mm512_set1_epi32(0x00010001));
}
inline __m512i four_times(__m512i v) {
  return _mm512_mullo_epi32(v, _mm512_set1_epi32(0x01010101));
}

// sub_scale < 64 = 8 * high + low, codes < 32 and no zero point: each part of the scale times a
// code is below 256, so that one 16-bit product multiplies two codes.
struct SplitScale {
  static constexpr int kParts = 2, kShift = 3;
  static constexpr bool kIsSigned[2] = {false, false}, kIsNegated = false;
  __m512i low, high;
  explicit SplitScale(__m512i scale)
      : low(twice(_mm512_and_si512(scale, _mm512_set1_epi32(7)))),
        high(twice(_mm512_maskz_srli_epi32(kAllLanes, scale, 3))) {}
  INFERNO_INLINE void put(__m512i codes, uint8_t* first, uint8_t* second) const {
    _mm512_store_si512(first, _mm512_mullo_epi16(codes, low));
    _mm512_store_si512(second, _mm512_mullo_epi16(codes, high));
  }
};

// sub_scale * code is below 256, without a zero point.
struct WholeScale {
  static constexpr int kParts = 1;
  static constexpr bool kIsSigned[2] = {false, false}, kIsNegated = false;
  __m512i factor;
  explicit WholeScale(__m512i scale) : factor(twice(scale)) {}
  INFERNO_INLINE void put(__m512i codes, uint8_t* first, uint8_t*) const {
    _mm512_store_si512(first, _mm512_mullo_epi16(codes, factor));
  }
};

// sub_scale in [-32, 31] times code - 4 in [-4, 3] is in [-124, 128], so its negative is a byte:
//   scale > 0:   -w = (7 - code) * scale - 3 * scale
//   scale <= 0:  -w = code * |scale| - 4 * |scale|
// and products of two codes at once, with |scale|, stay below 256.
struct NegatedProduct {
  static constexpr int kParts = 1;
  static constexpr bool kIsSigned[2] = {true, true}, kIsNegated = true;
  __m512i flip, factor, offset;
  explicit NegatedProduct(__m512i scale) {
    const __mmask16 is_positive = _mm512_cmpgt_epi32_mask(scale, _mm512_setzero_si512());
    const __m512i size = _mm512_maskz_abs_epi32(kAllLanes, scale);
    flip = _mm512_maskz_set1_epi32(is_positive, 0x07070707);
    factor = twice(size);
    const __m512i thrice = _mm512_add_epi32(size, _mm512_add_epi32(size, size));
    const __mmask16 is_not = static_cast<__mmask16>(~is_positive);
    offset = four_times(_mm512_mask_add_epi32(thrice, is_not, thrice, size));
  }
  INFERNO_INLINE void put(__m512i codes, uint8_t* first, uint8_t*) const {
    const __m512i product = _mm512_mullo_epi16(_mm512_xor_si512(codes, flip), factor);
    _mm512_store_si512(first, _mm512_sub_epi8(product, offset));
  }
};

// Any codes and any sub-scale of a byte: w = 256 * high + low, low unsigned. vpmaddubsw with every
// second byte of the scale zero gives 16-bit products of the codes at even k, and at odd k.
template <int kZeroPoint>
struct WideProduct {
  static constexpr int kParts = 2, kShift = 8;
  static constexpr bool kIsSigned[2] = {false, true}, kIsNegated = false;
  __m512i even, odd, offset;
  explicit WideProduct(__m512i scale) {
    even = twice(_mm512_and_si512(scale, _mm512_set1_epi32(0xFF)));
    odd = _mm512_slli_epi16(even, 8);
    const __m512i times = _mm512_mullo_epi32(scale, _mm512_set1_epi32(kZeroPoint));
    offset = twice(_mm512_and_si512(times, _mm512_set1_epi32(0xFFFF)));
  }
  INFERNO_INLINE void put(__m512i codes, uint8_t* first, uint8_t* second) const {
    const __m512i lower_byte = _mm512_set1_epi16(0x00FF);
    const __m512i a = _mm512_sub_epi16(_mm512_maddubs_epi16(codes, even), offset);
    const __m512i b = _mm512_sub_epi16(_mm512_maddubs_epi16(codes, odd), offset);
    constexpr int kSelect = 0xCA;  // the first where the mask is set, else the second or third
    const __m512i low = _mm512_slli_epi16(b, 8);
    const __m512i high = _mm512_srli_epi16(a, 8);
    _mm512_store_si512(first, _mm512_ternarylogic_epi32(lower_byte, a, low, kSelect));
    _mm512_store_si512(second, _mm512_ternarylogic_epi32(lower_byte, high, b, kSelect));
  }
};

// No sub-scales: code - 1.
struct Ternary {
  static constexpr int kParts = 1;
  static constexpr bool kIsSigned[2] = {true, true}, kIsNegated = false;
  explicit Ternary(__m512i) {}
  INFERNO_INLINE void put(__m512i codes, uint8_t* first, uint8_t*) const {
    _mm512_store_si512(first, _mm512_sub_epi8(codes, _mm512_set1_epi8(1)));
  }
};

template <class S, class Fold>
void unpack(const S& source, SuperPanel& panel) {
  for (int sub = 0; sub < S::kSubs; ++sub) {
    const Fold fold(to_int(source.scale(sub)).v);
    unroll<0, S::kSteps>([&](auto step) INFERNO_INLINE {
      const int at = sub * S::kSteps + step;
      fold.put(source.codes(sub, step).v, panel.part[0][at], panel.part[1][at]);
    });
  }
  store(panel.d, source.d());
  if constexpr (S::kMinimum) {
    store(panel.dmin, source.dmin());
    for (int pair = 0; pair < S::kSubs / 2; ++pair)
      store_int(panel.minima[pair], source.minima(pair));
  }
}

// 32 rows (or 16) by two columns.
template <class Factors>
struct Unit {
  int panel;                   // the first
  int panels;                  // 1 or 2
  int row_tiles;               // 1 or 2; 0: nothing to finish
  const Factors* factors;      // of the rows
  int32_t (*dots)[2][16][16];  // [row tile][column]
  float (*totals)[kAmxPanels][16];
};

// kRows rows of a tile: total = fma(u, scale_x, total), u from the integer sums.
template <class S, class Fold, int kRows>
INFERNO_INLINE inline void finish_rows(const SuperPanel& w, const Unit<FactorsOf<S>>& unit,
                                       int panel, int row) {
  const Floats d = load(w.d);
  const Floats dmin = S::kMinimum ? load(w.dmin) : zero();
  Ints minima[S::kSubs / 2];
  if constexpr (S::kMinimum) {
    unroll<0, S::kSubs / 2>([&](auto i) INFERNO_INLINE { minima[i] = load_int(w.minima[i]); });
  }
  const auto& columns = unit.dots[row / kAmxTileRows];
  const int32_t(*first)[16] = columns[panel] + row % kAmxTileRows;
  const int32_t(*second)[16] = columns[1] + row % kAmxTileRows;
  const FactorsOf<S>* factors = unit.factors + row;
  float* total = unit.totals[row][unit.panel + panel];
  unroll<0, kRows>([&](auto r) INFERNO_INLINE {
    Ints isum = load_int(first[r]);
    if constexpr (Fold::kParts == 2)
      isum = add_int(isum, shift_left<Fold::kShift>(load_int(second[r])));
    if constexpr (Fold::kIsNegated) isum = sub_int(set1_int(0), isum);
    Floats u = mul(to_float(isum), d);
    if constexpr (S::kMinimum) {
      Ints msum = set1_int(0);
      unroll<0, S::kSubs / 2>([&](auto i) INFERNO_INLINE {
        msum = add_pair_products(msum, minima[i], factors[r].sums[i]);
      });
      u = fnma(to_float(msum), dmin, u);
    }
    store(total + r * kAmxPanels * 16,
          fma(u, set1(factors[r].scale), load(total + r * kAmxPanels * 16)));
  });
}

// Part `part` of eight of a unit whose sums are stored.
template <class S, class Fold>
INFERNO_INLINE inline void finish_part(const Scratch<FactorsOf<S>>& scratch,
                                       const Unit<FactorsOf<S>>& unit, int part) {
  if (unit.row_tiles == 2) {
    for (int panel = 0; panel < unit.panels; ++panel)
      finish_rows<S, Fold, 4>(scratch.panel[unit.panel + panel], unit, panel, part * 4);
  } else if (unit.row_tiles == 1) {
    for (int panel = 0; panel < unit.panels; ++panel)
      finish_rows<S, Fold, 2>(scratch.panel[unit.panel + panel], unit, panel, part * 2);
  }
}

// Multiplies `unit` while finishing `before`.
template <class S, class Fold, int kRowTiles>
__attribute__((noinline)) void multiply_unit(const Scratch<FactorsOf<S>>& scratch, const int8_t* q,
                                             const Unit<FactorsOf<S>>& unit,
                                             const Unit<FactorsOf<S>>& before, NextStretch& next) {
  constexpr bool kIsTwo = kRowTiles == 2;
  const auto* first = scratch.panel[unit.panel].part[0];
  const auto* second =
      Fold::kParts == 2 ? scratch.panel[unit.panel].part[1] : scratch.panel[unit.panel + 1].part[0];
  unroll<0, 2 * kRowTiles>([](auto i) INFERNO_INLINE { zero_tile<i>(); });
  unroll<0, 4>([&](auto step) INFERNO_INLINE {
    load_tile<4, 1024>(q + step * 1024);
    load_tile<6, 1024>(first[step * 16]);
    add_products<0, 4, 6, Fold::kIsSigned[0]>();
    load_tile<7, 1024>(second[step * 16]);
    add_products<1, 4, 7, Fold::kIsSigned[1]>();
    finish_part<S, Fold>(scratch, before, 2 * step);
    if constexpr (kIsTwo) {
      load_tile<5, 1024>(q + 4096 + step * 1024);
      add_products<2, 5, 6, Fold::kIsSigned[0]>();
      add_products<3, 5, 7, Fold::kIsSigned[1]>();
    }
    next.advance();
    finish_part<S, Fold>(scratch, before, 2 * step + 1);
  });
  store_sums<0>(unit.dots[0][0]);
  store_sums<1>(unit.dots[0][1]);
  if constexpr (kIsTwo) {
    store_sums<2>(unit.dots[1][0]);
    store_sums<3>(unit.dots[1][1]);
  }
}

template <class S, class Fold>
struct SuperBlockProducts {
  using Rows = AmxRows<FactorsOf<S>>;

  static Scratch<FactorsOf<S>>& scratch_of(const MatmulJob& job) {
    return *reinterpret_cast<Scratch<FactorsOf<S>>*>(job.scratch);
  }

  static void begin_rows(const MatmulJob& job, int row_begin, int row_end) {
    configure_tiles(kTilesOf64);
    arrange_rows(job, row_begin, row_end, scratch_of(job).rows);
  }

  // All rows of a block times 256 k of the unpacked panels.
  static void multiply_stretch(const MatmulJob& job, const PanelGroup& group, int stretch) {
    Scratch<FactorsOf<S>>& scratch = scratch_of(job);
    const Rows& rows = scratch.rows;
    constexpr int kUnitPanels = Fold::kParts == 2 ? 1 : kAmxPanels;
    const int row_units = (rows.rows + kUnitRows - 1) / kUnitRows;
    const int units = row_units * ((group.panels + kUnitPanels - 1) / kUnitPanels);
    NextStretch next = next_stretch<S>(job.w, group, stretch, units * 4);
    Unit<FactorsOf<S>> before = {};
    int done = 0;
    for (int row = 0; row < rows.rows; row += kUnitRows) {
      const int8_t* q = rows.tiles(stretch, row / kAmxTileRows);
      for (int panel = 0; panel < group.panels; panel += kUnitPanels, ++done) {
        const int left = group.panels - panel;
        const Unit<FactorsOf<S>> unit = {panel,
                                         left < kUnitPanels ? left : kUnitPanels,
                                         rows.rows - row > kAmxTileRows ? 2 : 1,
                                         rows.factors + rows.at(stretch, row),
                                         scratch.dots[done % 2],
                                         scratch.totals + row};
        if (unit.row_tiles == 2) {
          multiply_unit<S, Fold, 2>(scratch, q, unit, before, next);
        } else {
          multiply_unit<S, Fold, 1>(scratch, q, unit, before, next);
        }
        before = unit;
      }
    }
    for (int part = 0; part < 8; ++part)
      finish_part<S, Fold>(scratch, before, part);
  }

  static void multiply_panels(const MatmulJob& job, const PanelGroup& group) {
    const PackedMatrix& w = job.w;
    Scratch<FactorsOf<S>>& scratch = scratch_of(job);
    __builtin_memset(scratch.totals, 0,
                     sizeof(scratch.totals[0]) * static_cast<size_t>(scratch.rows.rows));
    for (int stretch = 0; stretch < stretch_count(w.k); ++stretch) {
      for (int p = 0; p < group.panels; ++p) {
        unpack<S, Fold>(S(w, stretch_bytes<S>(w, group, p, stretch)), scratch.panel[p]);
      }
      multiply_stretch(job, group, stretch);
    }
    write_totals(job, group, scratch.totals);
  }
};

template <class S, class Fold>
bool multiply_folded(const MatmulJob& job) {
  return multiply_with_tiles<SuperBlockProducts<S, Fold>>(job);
}

}  // namespace

bool amx_super_blocks(const MatmulJob& job) {
  switch (job.w.format) {
    case PackedFormat::kQ2K:
      return multiply_folded<Q2KSource, WholeScale>(job);
    case PackedFormat::kQ3K:
      return multiply_folded<Q3KSource, NegatedProduct>(job);
    case PackedFormat::kQ4K:
      return multiply_folded<Q4KSource, SplitScale>(job);
    case PackedFormat::kQ5K:
      return multiply_folded<Q5KSource, SplitScale>(job);
    case PackedFormat::kQ6K:
      return multiply_folded<Q6KSource, WideProduct<32>>(job);
    case PackedFormat::kCodebook4K:
      return multiply_folded<CodebookSource<32>, WideProduct<128>>(job);
    case PackedFormat::kCodebook4KFine:
      return multiply_folded<CodebookSource<16>, WideProduct<128>>(job);
    case PackedFormat::kTernaryK:
      return multiply_folded<TernaryKSource, Ternary>(job);
    default:
      return false;
  }
}

}  // namespace inferno::kernel::INFERNO_ISA
#endif
