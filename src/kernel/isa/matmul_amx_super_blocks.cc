// AMX products of the formats with super-blocks of 256 k and integer sub-scales (the K formats).
//
// The sub-scales go into the weights, which are one or two bytes then (amx_folds.h), so that the
// exact sum of 256 k stays in the tile unit; what is stored is one int32, or two of which it is
// made. Four sums are a unit of work:
//
//   w of two bytes   16 rows: sums 0, 1 = low, high bytes of panel p; 2, 3 = of panel p + 1
//   w of one byte    32 rows: sums 0, 1 = rows 0-15 of panels p, p + 1; 2, 3 = rows 16-31
//
//   tmm0-3 sums   tmm4 rows   tmm5 sums of minima   tmm6, tmm7 weights in turn
//
// While tiles work on a unit, the vector unit
//
//   - finishes the unit before, an eighth after every second product. A unit begins by storing the
//     sums of the former one, each just before the product that begins its own sum, with its first
//     tiles already loaded: so no product waits for stores, nor a store for products behind it.
//     Only the last unit of a pair of panels, and one before or behind a unit of another shape (an
//     odd tile of rows, w of one byte), is finished by itself;
//   - unpacks the next 256 k of both panels during the last unit of rows, into the quarter that
//     its products have just used.
//
// Vectors keep one of their two multipliers while tiles work, so what minima subtract is a product
// of tiles as well: sums of q, in two bfloat16 each, times minima.
#if defined(INFERNO_ISA_AVX512)
#include "kernel/isa/amx_folds.h"
#include "kernel/isa/matmul_amx.h"

namespace inferno::kernel::INFERNO_ISA {
namespace {

// 256 k of a panel.
struct SuperPanel {
  alignas(64) uint8_t part[2][64][64];  // low and high bytes of w, [step]
};

// What its sums are finished with, while the bytes are those of the next 256 k already.
struct PanelScales {
  alignas(64) uint32_t minima[16][16];  // [sub-block][output] twice as bfloat16
  float d[16];
  float dmin[16];
};
using PairScales = PanelScales[kAmxPanels];

// What the sums of a unit become in memory: the exact integers, and what minima subtract.
using Dots = int32_t[4][16][16];
using MinimaSums = float[4][16][16];

// A block of rows, arranged for tiles and padded to whole ones with zeros.
struct SuperRows {
  alignas(64) int8_t q[kMostBlockBytes];  // [stretch][row tile][64 k][16 rows][64]
  uint32_t sums[kMostRowStretches][16];   // [stretch][row][sub-block], see split_sums()
  float scale[kMostRowStretches];         // [stretch][row]
  int rows;                               // padded
  int stretches;

  size_t at(int stretch, int row) const {
    return static_cast<size_t>(stretch) * static_cast<size_t>(rows) + static_cast<size_t>(row);
  }
  size_t count() const { return at(stretches, 0); }
};

struct Scratch {
  SuperRows rows;
  SuperPanel panel[kAmxPanels];
  PairScales scales[2];   // of the 256 k that are unpacked, and of those before, in turn
  int turn;               // of `scales`
  alignas(64) Dots dots;  // of the unit before
  MinimaSums minima[2];   // of the unit being multiplied, and the one before
  float totals[kMostBlockRows][kAmxPanels][16];
};
static_assert(sizeof(Scratch) <= kMatmulScratchBytes);

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
  to.stretches = stretch_count(job.w.k);
  for (int stretch = 0; stretch < to.stretches; ++stretch) {
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
INFERNO_INLINE inline void unpack_minima(const S& source, PanelScales& scales) {
  store(scales.dmin, source.dmin());
  for (int pair = 0; pair < S::kSubs / 2; ++pair) {
    const Ints both = source.minima(pair);
    const __m512i first = float_bits(first_of_pairs(both).v);
    const __m512i second = float_bits(second_of_pairs(both).v);
    const auto put = [&](__m512i bits, uint32_t* to) INFERNO_INLINE {
      _mm512_storeu_si512(to, _mm512_or_si512(bits, _mm512_maskz_srli_epi32(kAllLanes, bits, 16)));
    };
    put(first, scales.minima[2 * pair]);
    put(second, scales.minima[2 * pair + 1]);
  }
}

template <class S, class Fold>
INFERNO_INLINE inline void unpack_quarter(const PackedMatrix& w, const PackedPair& packed,
                                          int quarter, Scratch& scratch) {
  constexpr int kSubs = S::kSubs / 4;
  for (int p = 0; p < kAmxPanels; ++p) {
    const S source(w, packed.panel[p]);
    SuperPanel& panel = scratch.panel[p];
    for (int sub = quarter * kSubs; sub < (quarter + 1) * kSubs; ++sub) {
      const Fold fold(to_int(source.scale(sub)).v);
      unroll<0, S::kSteps>([&](auto step) INFERNO_INLINE {
        const int at = sub * S::kSteps + step;
        fold.put(source.codes(sub, step).v, panel.part[0][at], panel.part[1][at]);
      });
    }
  }
}

// Into the turn that is not the present one.
template <class S>
__attribute__((noinline)) void unpack_scales(const PackedMatrix& w, const PackedPair& packed,
                                             Scratch& scratch) {
  for (int p = 0; p < kAmxPanels; ++p) {
    const S source(w, packed.panel[p]);
    PanelScales& scales = scratch.scales[1 - scratch.turn][p];
    store(scales.d, source.d());
    if constexpr (S::kMinimum) unpack_minima(source, scales);
  }
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
  const int8_t* q;  // tiles; null: there is none
  const PanelScales* panels;
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
    d[p] = load(unit.panels[p].d);
    if constexpr (S::kMinimum) dmin[p] = load(unit.panels[p].dmin);
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
INFERNO_INLINE inline void multiply_minima(const Unit& unit) {
  using Shape = UnitShape<Fold, kSums>;
  if constexpr (kStep > 0 && kStep <= Shape::kProducts) store_float_sums<5>(unit.minima[kStep - 1]);
  if constexpr (kStep < Shape::kProducts) {
    load_tile<4, 1024>(unit.sums[kStep / Shape::kPanels * kAmxTileRows]);
    load_tile<6, 1024>(unit.panels[kStep % Shape::kPanels].minima);
    zero_tile<5>();
    add_bf16_products<5, 4, 6>();
    if constexpr (kStep == 3) store_float_sums<5>(unit.minima[3]);
  }
}

template <int kSums>
INFERNO_INLINE inline void store_all_sums(Dots& dots) {
  unroll<0, kSums>([&](auto sum) INFERNO_INLINE { store_sums<sum>(dots[sum]); });
}

// Fetches into L2 what is needed later, a part with each k step: packed bytes, and in the last
// stretch the outputs, whose lines lie far from each other.
class Fetches {
 public:
  Fetches(const MatmulJob& job, const PanelGroup& group, int stretch, const PackedFetch& packed)
      : packed_(packed),
        stride_(job.out.stride),
        left_(stretch + 1 == stretch_count(job.w.k) ? group.row_end - group.row_begin : 0),
        y_(job.out.y + static_cast<size_t>(group.row_begin) * stride_ +
           static_cast<size_t>(group.panel) * 16) {}

  // `rows`: of y.
  INFERNO_INLINE void advance(int rows) {
    packed_.advance();
    if (left_ < rows) rows = left_;
    for (int row = 0; row < rows; ++row, y_ += stride_) {
      __builtin_prefetch(y_, 0, 2);
      __builtin_prefetch(y_ + 16, 0, 2);
    }
    left_ -= rows;
  }

 private:
  PackedFetch packed_;
  size_t stride_;
  int left_;  // rows
  const float* y_;
};

// What a unit does for those behind it.
struct Behind {
  const PackedMatrix& w;
  PackedPair packed;  // to be unpacked in place of what the unit is multiplied with, or null
  Fetches& fetches;
};

// Multiplies a unit, whose first tiles are loaded, while finishing the former one, whose sums are
// still in the tiles; then loads the first tiles of the next one.
template <class S, class Fold, int kSums>
__attribute__((noinline)) void multiply_unit(Scratch& scratch, const Unit& current,
                                             const Unit& former, const int8_t* next_q,
                                             const Behind& behind) {
  using Shape = UnitShape<Fold, kSums>;
  const Unit unit = current, before = former;  // in registers: totals cannot alias them
  const bool unpacks = static_cast<bool>(behind.packed);
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
        multiply_minima<Fold, kSums, step>(unit);
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
    behind.fetches.advance(Shape::kRows / 4);
    if (unpacks) unpack_quarter<S, Fold>(behind.w, behind.packed, step, scratch);
  });
  // `before` may be finished with the scales in whose place these go.
  if (unpacks) unpack_scales<S>(behind.w, behind.packed, scratch);
}

// Units one after the other, each finished while the next one is multiplied.
template <class S, class Fold, int kSums>
class Units {
 public:
  explicit Units(Scratch& scratch) : scratch_(scratch) {}

  // The rows from `row` of a block on times the 256 k that are unpacked, which are `stretch`.
  // Behind it go the next rows; behind the last ones of all k, the first.
  void multiply(int stretch, int row, const Behind& behind) {
    SuperRows& rows = scratch_.rows;
    const size_t at = rows.at(stretch, row);
    const size_t next = at + UnitShape<Fold, kSums>::kRows;
    const bool is_last = next >= rows.count();
    const Unit unit = {.q = rows.q + at * 256,
                       .panels = scratch_.scales[scratch_.turn],
                       .sums = rows.sums + at,
                       .scale = rows.scale + at,
                       .minima = scratch_.minima[count_++ % 2],
                       .totals = scratch_.totals + row};
    if (before_.q == nullptr) load_first_tiles<Fold, kSums>(scratch_.panel, unit.q);
    multiply_unit<S, Fold, kSums>(scratch_, unit, before_, rows.q + (is_last ? 0 : next * 256),
                                  behind);
    before_ = unit;
  }

  void finish() {
    if (before_.q == nullptr) return;
    store_all_sums<kSums>(scratch_.dots);
    for (int part = 0; part < 8; ++part)
      finish_part<S, Fold, kSums>(scratch_, before_, part);
    before_ = {};
  }

 private:
  Scratch& scratch_;
  Unit before_ = {};
  unsigned count_ = 0;
};

template <class S, class Fold>
struct SuperBlockProducts {
  static Scratch& scratch_of(const MatmulJob& job) {
    return *reinterpret_cast<Scratch*>(job.scratch);
  }

  // Also unpacks the first 256 k; the following ones are while rows are multiplied.
  static void begin_rows(const MatmulJob& job, int row_begin, int row_end) {
    Scratch& scratch = scratch_of(job);
    const Place place = {job.out.panel_begin, 0};
    const PackedPair first = packed_at<S>(job, place);
    if (!first) return;  // no outputs
    PackedFetch(first, S::kStretchBytes, 1).advance();
    PackedFetch(packed_at<S>(job, place.next(job)), S::kStretchBytes, 1).advance();
    configure_tiles(kTilesOf64);
    arrange_super_rows<S>(job, row_begin, row_end, scratch.rows);
    __builtin_memset(scratch.scales, 0, sizeof(scratch.scales));  // minima that do not exist
    scratch.turn = 0;
    for (int quarter = 0; quarter < 4; ++quarter)
      unpack_quarter<S, Fold>(job.w, first, quarter, scratch);
    unpack_scales<S>(job.w, first, scratch);
    scratch.turn = 1;
  }

  // A unit of two parts has as many sums as panels ask for.
  static void multiply_rows(const MatmulJob& job, const PanelGroup& group) {
    if constexpr (Fold::kParts == 2) {
      if (group.panels < kAmxPanels) return multiply_units<2>(job, group);
    }
    multiply_units<4>(job, group);
  }

  // kSums: of units; rows that do not fill one are a unit of 16.
  template <int kSums>
  static void multiply_units(const MatmulJob& job, const PanelGroup& group) {
    constexpr int kRows = UnitShape<Fold, kSums>::kRows;
    Scratch& scratch = scratch_of(job);
    Units<S, Fold, kSums> units(scratch);
    Units<S, Fold, 2> rest(scratch);
    const int rows = scratch.rows.rows;
    const int steps = 4 * ((rows + kRows - 1) / kRows);
    PackedPair next = packed_at<S>(job, Place{group.panel, 0}.next(job));
    for (int stretch = 0; stretch < stretch_count(job.w.k); ++stretch) {
      const PackedPair none = {};
      const PackedPair after = packed_at<S>(job, Place{group.panel, stretch}.next(job).next(job));
      Fetches fetches(job, group, stretch, PackedFetch(after, S::kStretchBytes, steps));
      for (int row = 0; row < rows; row += kRows) {
        const Behind behind = {job.w, row + kRows < rows ? none : next, fetches};
        if (row + kRows <= rows) {
          units.multiply(stretch, row, behind);
        } else {
          units.finish();
          rest.multiply(stretch, row, behind);
          if (row > 0) rest.finish();
        }
      }
      scratch.turn = 1 - scratch.turn;
      next = after;
    }
    units.finish();
    rest.finish();
  }

  static void multiply_panels(const MatmulJob& job, const PanelGroup& group) {
    Scratch& scratch = scratch_of(job);
    __builtin_memset(scratch.totals, 0,
                     sizeof(scratch.totals[0]) * static_cast<size_t>(scratch.rows.rows));
    multiply_rows(job, group);
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
