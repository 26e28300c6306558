// AMX products of the formats with super-blocks of 256 k and integer sub-scales (the K formats).
//
// The sub-scales go into the weights: w = sub_scale * (code - zero point), at most 14 bits, is
// written as one or two bytes (Fold below says which for which format), so that the exact sum of
// 256 k stays in the tile unit; what is stored is one int32, or two of which it is made. Four sums
// are a unit of work:
//
//   w of two bytes   16 rows: sums 0, 1 = low, high bytes of panel p; 2, 3 = of panel p + 1
//   w of one byte    32 rows: sums 0, 1 = rows 0-15 of panels p, p + 1; 2, 3 = rows 16-31
//
//   tmm0-3 sums   tmm4 rows   tmm5 sums of minima   tmm6, tmm7 weights in turn
//
// While the tile unit works on one unit, the vector unit finishes the one before, an eighth after
// every second product. A unit begins by storing the sums of the former one, each just before the
// product that begins its own sum, with its first tiles already loaded: so no product waits for
// stores, nor a store for products behind it.
//
// Vectors keep one of their two multipliers while tiles work, so what minima subtract is a product
// of tiles as well: sums of q, in two bfloat16 each, times minima.
#if defined(INFERNO_ISA_AVX512)
#include "kernel/isa/matmul_amx.h"

namespace inferno::kernel::INFERNO_ISA {
namespace {

// 256 k of a panel.
struct SuperPanel {
  alignas(64) uint8_t part[2][64][64];  // low and high bytes of w, [step]
  uint32_t minima[16][16];              // [sub-block][output] twice as bfloat16
  float d[16];
  float dmin[16];
};

// What the sums of a unit become in memory: the exact integers, and what minima subtract.
using Dots = int32_t[4][16][16];
using MinimaSums = float[4][16][16];

// A block of rows, arranged for tiles and padded to whole ones with zeros.
struct SuperRows {
  alignas(64) int8_t q[kMostBlockBytes];  // [stretch][row tile][64 k][16 rows][64]
  uint32_t sums[kMostRowStretches][16];   // [stretch][row][sub-block], see split_sums()
  float scale[kMostRowStretches];         // [stretch][row]
  int rows;                               // padded

  size_t at(int stretch, int row) const {
    return static_cast<size_t>(stretch) * static_cast<size_t>(rows) + static_cast<size_t>(row);
  }
};

struct Scratch {
  SuperRows rows;
  SuperPanel panel[kAmxPanels];
  alignas(64) Dots dots;  // of the unit before
  MinimaSums minima[2];   // of the unit being multiplied, and the one before
  float totals[kMostBlockRows][kAmxPanels][16];
};
static_assert(sizeof(Scratch) <= kMatmulScratchBytes);

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

// The float of an integer below 256, or of a multiple of 256 below 2^16, is a bfloat16: its upper
// half.
inline __m512i float_bits(__m512i v) {
  return _mm512_castps_si512(_mm512_maskz_cvtepi32_ps(kAllLanes, v));
}

// The sums of q that minima are multiplied with, over 16 k each or over 32, split into two bfloat16
// that are exact: what is below 256, and the rest. Those of sub-blocks that do not exist are 0.
template <class S>
INFERNO_INLINE inline void split_sums(const int16_t* sum, uint32_t (&to)[16]) {
  const __m256i sixteens = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sum));
  __m512i sums;
  if constexpr (S::kSubs == 16) {
    sums = _mm512_maskz_cvtepi16_epi32(kAllLanes, sixteens);
  } else {
    const __m256i wide = _mm256_madd_epi16(sixteens, _mm256_set1_epi16(1));
    sums = _mm512_maskz_broadcast_i64x4(0x0F, wide);
  }
  const __m512i below = _mm512_and_si512(sums, _mm512_set1_epi32(255));
  const __m512i rest = float_bits(_mm512_sub_epi32(sums, below));
  const __m512i lower = _mm512_maskz_srli_epi32(kAllLanes, float_bits(below), 16);
  _mm512_storeu_si512(to, _mm512_or_si512(lower, rest));
}

// Arranges rows [row_begin, row_end) of a job.
template <class S>
void arrange_super_rows(const MatmulJob& job, int row_begin, int row_end, SuperRows& to) {
  const int count = row_end - row_begin;
  to.rows = padded_rows(count);
  for (int stretch = 0; stretch < stretch_count(job.w.k); ++stretch) {
    const RowSlice from = slice_of(job.x, row_begin, stretch);
    for (int row = 0; row < to.rows; ++row) {
      const size_t r = static_cast<size_t>(row);
      const size_t at = to.at(stretch, row);
      int8_t* const q =
          to.q + to.at(stretch, row / kAmxTileRows * kAmxTileRows) * 256 + row % kAmxTileRows * 64;
      if (row < count) {
        arrange_row(from.q + r * from.q_stride, 256, q);
        to.scale[at] = from.scale[r * from.scale_stride];
        if constexpr (S::kMinimum) split_sums<S>(from.sum + r * from.sum_stride, to.sums[at]);
      } else {
        arrange_row(nullptr, 0, q);
        to.scale[at] = 0.0f;
        __builtin_memset(to.sums[at], 0, sizeof(to.sums[at]));
      }
    }
  }
}

template <class S>
INFERNO_INLINE inline void unpack_minima(const S& source, SuperPanel& panel) {
  store(panel.dmin, source.dmin());
  __builtin_memset(panel.minima, 0, sizeof(panel.minima));
  for (int pair = 0; pair < S::kSubs / 2; ++pair) {
    const Ints both = source.minima(pair);
    const __m512i first = float_bits(first_of_pairs(both).v);
    const __m512i second = float_bits(second_of_pairs(both).v);
    const auto put = [&](__m512i bits, uint32_t* to) INFERNO_INLINE {
      _mm512_storeu_si512(to, _mm512_or_si512(bits, _mm512_maskz_srli_epi32(kAllLanes, bits, 16)));
    };
    put(first, panel.minima[2 * pair]);
    put(second, panel.minima[2 * pair + 1]);
  }
}

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
  if constexpr (S::kMinimum) unpack_minima(source, panel);
}

// One k step after the other, and in each one sum after the other.
template <class Fold, int kSums>
struct UnitShape {
  static constexpr bool kIsTwoParts = Fold::kParts == 2;
  static constexpr int kPanels = kIsTwoParts ? kSums / 2 : kAmxPanels;
  static constexpr int kRowTiles = kIsTwoParts ? 1 : kSums / 2;
  static constexpr int kProducts = kPanels * kRowTiles;  // of 16 rows and a panel
  static constexpr int kRows = kRowTiles * kAmxTileRows;
  static constexpr int kPartRows = kRows / 8;  // of each of the eight parts of finishing

  // The tile of weights of a sum: tmm6 and tmm7 in turn.
  static constexpr int weights_tile(int sum) { return 6 + sum % 2; }
  static const void* weights(const SuperPanel* panels, int sum, int step) {
    if constexpr (kIsTwoParts) return panels[sum / 2].part[sum % 2][step * 16];
    return panels[sum % 2].part[0][step * 16];
  }
};

// A unit of rows times the panels of a stretch.
struct Unit {
  const int8_t* q;             // tiles; null: there is none
  const uint32_t (*sums)[16];  // of the rows
  const float* scale;
  float (*minima)[16][16];
  float (*totals)[kAmxPanels][16];
};

// Part `part` of eight of a unit whose sums are stored: total = fma(u, scale_x, total), u from the
// integer sums.
template <class S, class Fold, int kSums>
INFERNO_INLINE inline void finish_part(const Scratch& scratch, const Unit& unit, int part) {
  using Shape = UnitShape<Fold, kSums>;
  if (unit.q == nullptr) return;
  Floats d[Shape::kPanels], dmin[Shape::kPanels];
  unroll<0, Shape::kPanels>([&](auto p) INFERNO_INLINE {
    d[p] = load(scratch.panel[p].d);
    if constexpr (S::kMinimum) dmin[p] = load(scratch.panel[p].dmin);
  });
  unroll<0, Shape::kPartRows>([&](auto r) INFERNO_INLINE {
    const int row = part * Shape::kPartRows + r;
    const int at = row % kAmxTileRows;
    const Floats scale = set1(unit.scale[row]);
    unroll<0, Shape::kPanels>([&](auto p) INFERNO_INLINE {
      const int sum = Shape::kIsTwoParts ? 2 * p : row / kAmxTileRows * 2 + p;
      Ints isum = load_int(scratch.dots[sum][at]);
      if constexpr (Shape::kIsTwoParts)
        isum = add_int(isum, shift_left<Fold::kShift>(load_int(scratch.dots[sum + 1][at])));
      if constexpr (Fold::kIsNegated) isum = sub_int(set1_int(0), isum);
      Floats u = mul(to_float(isum), d[p]);
      if constexpr (S::kMinimum) {
        const int tile = Shape::kIsTwoParts ? static_cast<int>(p) : sum;
        u = fnma(load(unit.minima[tile][at]), dmin[p], u);
      }
      float* total = unit.totals[row][p];
      store(total, fma(u, scale, load(total)));
    });
  });
}

template <class Fold, int kSums>
INFERNO_INLINE inline void load_first_tiles(const SuperPanel* panels, const int8_t* q) {
  using Shape = UnitShape<Fold, kSums>;
  load_tile<4, 1024>(q);
  load_tile<6, 1024>(Shape::weights(panels, 0, 0));
  load_tile<7, 1024>(Shape::weights(panels, 1, 0));
}

// Loads what the products after that of (step, sum) need in place of the tiles it was the last to
// use.
template <class Fold, int kSums, int kStep, int kSum>
INFERNO_INLINE inline void load_next_tiles(const SuperPanel* panels, const int8_t* q,
                                           const int8_t* next_q) {
  using Shape = UnitShape<Fold, kSums>;
  constexpr bool kIsLast = kSum == kSums - 1;
  const int8_t* const next_rows = kStep == 3 ? next_q : q + (kStep + 1) * 1024;
  if constexpr (Shape::kIsTwoParts) {
    constexpr int kNext = (kSum + 2) % kSums;
    constexpr int kNextStep = kSum + 2 < kSums ? kStep : (kStep + 1) % 4;
    load_tile<Shape::weights_tile(kSum), 1024>(Shape::weights(panels, kNext, kNextStep));
    if constexpr (kIsLast) load_tile<4, 1024>(next_rows);
  } else if constexpr (kIsLast) {
    load_tile<4, 1024>(next_rows);
    load_tile<6, 1024>(Shape::weights(panels, 0, (kStep + 1) % 4));
    load_tile<7, 1024>(Shape::weights(panels, 1, (kStep + 1) % 4));
  } else if constexpr (kSum == 1) {
    load_tile<4, 1024>(q + 4096 + kStep * 1024);  // the second tile of rows
  }
}

// What minima subtract, for one tile of rows and panel after each k step; each is stored a step
// later, when nothing waits for it any more. Exact, as every sum of products is an integer below
// 2^24.
template <class Fold, int kSums, int kStep>
INFERNO_INLINE inline void multiply_minima(const SuperPanel* panels, const Unit& unit) {
  using Shape = UnitShape<Fold, kSums>;
  if constexpr (kStep > 0 && kStep <= Shape::kProducts) store_float_sums<5>(unit.minima[kStep - 1]);
  if constexpr (kStep < Shape::kProducts) {
    load_tile<4, 1024>(unit.sums[kStep / Shape::kPanels * kAmxTileRows]);
    load_tile<6, 1024>(panels[kStep % Shape::kPanels].minima);
    zero_tile<5>();
    add_bf16_products<5, 4, 6>();
    if constexpr (kStep == 3) store_float_sums<5>(unit.minima[3]);
  }
}

template <int kSums>
INFERNO_INLINE inline void store_all_sums(Dots& dots) {
  unroll<0, kSums>([&](auto sum) INFERNO_INLINE { store_sums<sum>(dots[sum]); });
}

// Multiplies a unit, whose first tiles are loaded, while finishing the former one, whose sums are
// still in the tiles; then loads the first tiles of the next one.
template <class S, class Fold, int kSums>
__attribute__((noinline)) void multiply_unit(Scratch& scratch, const Unit& current,
                                             const Unit& former, const int8_t* next_q) {
  using Shape = UnitShape<Fold, kSums>;
  const Unit unit = current, before = former;  // in registers: totals cannot alias them
  const SuperPanel* const panels = scratch.panel;
  unroll<0, 4>([&](auto step) INFERNO_INLINE {
    unroll<0, kSums>([&](auto sum) INFERNO_INLINE {
      if constexpr (step == 0) {
        store_sums<sum>(scratch.dots[sum]);
        zero_tile<sum>();
      }
      constexpr bool kIsSigned = Fold::kIsSigned[Shape::kIsTwoParts ? sum % 2 : 0];
      add_products<sum, 4, Shape::weights_tile(sum), kIsSigned>();
      constexpr bool kIsLast = sum == kSums - 1;
      constexpr bool kHasMinima = S::kMinimum && step < Shape::kProducts;
      if constexpr (S::kMinimum && kIsLast) {
        multiply_minima<Fold, kSums, step>(panels, unit);
        if constexpr (kHasMinima) {
          load_next_tiles<Fold, kSums, step, kSums - 2>(panels, unit.q, next_q);
        }
      }
      if constexpr (!kHasMinima || !Shape::kIsTwoParts || sum != kSums - 2) {
        load_next_tiles<Fold, kSums, step, sum>(panels, unit.q, next_q);
      }
      // All sums of `before` have to be stored first.
      if constexpr (step == 0 && kIsLast) finish_part<S, Fold, kSums>(scratch, before, 0);
      if constexpr (step > 0 ? (sum + 1) % (kSums / 2) == 0 : kIsLast) {
        constexpr int kPart = 2 * step + (sum + 1) / (kSums / 2) - 1;
        finish_part<S, Fold, kSums>(scratch, before, kPart);
      }
    });
  });
}

// Units from a row of a block on, one after the other.
struct UnitRange {
  int stretch, row, count;
};

// Fetches into L2 what is needed next, a part for each row tile: packed bytes, and in the last
// stretch the outputs, whose lines lie far from each other.
class Fetches {
 public:
  Fetches(const MatmulJob& job, const PanelGroup& group, int stretch, const NextStretch& packed)
      : packed_(packed),
        stride_(job.out.stride),
        left_(stretch + 1 == stretch_count(job.w.k) ? group.row_end - group.row_begin : 0),
        y_(job.out.y + static_cast<size_t>(group.row_begin) * stride_ +
           static_cast<size_t>(group.panel) * 16) {}

  INFERNO_INLINE void advance() {
    packed_.advance();
    const int rows = left_ < kAmxTileRows ? left_ : kAmxTileRows;
    for (int row = 0; row < rows; ++row, y_ += stride_) {
      __builtin_prefetch(y_, 0, 2);
      __builtin_prefetch(y_ + 16, 0, 2);
    }
    left_ -= rows;
  }

 private:
  NextStretch packed_;
  size_t stride_;
  int left_;  // rows
  const float* y_;
};

template <class S, class Fold, int kSums>
void multiply_units(Scratch& scratch, const UnitRange& range, Fetches& fetches) {
  using Shape = UnitShape<Fold, kSums>;
  if (range.count == 0) return;
  SuperRows& rows = scratch.rows;
  const auto q_of = [&](int i) {
    return rows.q + rows.at(range.stretch, range.row + i * Shape::kRows) * 256;
  };
  load_first_tiles<Fold, kSums>(scratch.panel, q_of(0));
  Unit before = {};
  for (int i = 0; i < range.count; ++i) {
    const int row = range.row + i * Shape::kRows;
    const size_t at = rows.at(range.stretch, row);
    const Unit unit = {q_of(i), rows.sums + at, rows.scale + at, scratch.minima[i % 2],
                       scratch.totals + row};
    for (int tile = 0; tile < Shape::kRowTiles; ++tile)
      fetches.advance();
    multiply_unit<S, Fold, kSums>(scratch, unit, before, q_of(i + 1 < range.count ? i + 1 : i));
    before = unit;
  }
  store_all_sums<kSums>(scratch.dots);
  for (int part = 0; part < 8; ++part)
    finish_part<S, Fold, kSums>(scratch, before, part);
}

template <class S, class Fold>
struct SuperBlockProducts {
  static Scratch& scratch_of(const MatmulJob& job) {
    return *reinterpret_cast<Scratch*>(job.scratch);
  }

  static void begin_rows(const MatmulJob& job, int row_begin, int row_end) {
    configure_tiles(kTilesOf64);
    arrange_super_rows<S>(job, row_begin, row_end, scratch_of(job).rows);
  }

  // All rows of a block times 256 k of the unpacked panels.
  static void multiply_stretch(const MatmulJob& job, const PanelGroup& group, int stretch) {
    Scratch& scratch = scratch_of(job);
    const int tiles = scratch.rows.rows / kAmxTileRows;
    Fetches fetches(job, group, stretch, next_stretch<S>(job.w, group, stretch, tiles));
    if constexpr (Fold::kParts == 2) {
      if (group.panels == 2) {
        multiply_units<S, Fold, 4>(scratch, {stretch, 0, tiles}, fetches);
      } else {
        multiply_units<S, Fold, 2>(scratch, {stretch, 0, tiles}, fetches);
      }
    } else {
      multiply_units<S, Fold, 4>(scratch, {stretch, 0, tiles / 2}, fetches);
      multiply_units<S, Fold, 2>(scratch, {stretch, tiles / 2 * kUnitRows, tiles % 2}, fetches);
    }
  }

  static void multiply_panels(const MatmulJob& job, const PanelGroup& group) {
    const PackedMatrix& w = job.w;
    Scratch& scratch = scratch_of(job);
    __builtin_memset(scratch.totals, 0,
                     sizeof(scratch.totals[0]) * static_cast<size_t>(scratch.rows.rows));
    for (int stretch = 0; stretch < stretch_count(w.k); ++stretch) {
      for (int p = 0; p < kAmxPanels; ++p) {
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
