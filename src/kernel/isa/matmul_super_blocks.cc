// Matrix products with super-blocks of 256 k whose sub-blocks have integer scales (the K formats).
//
// The definition (kernels.h) sums sub_scale * dot over a super-block exactly and rounds once to
// float. Multiplying vectors of int32 is slow; fma on floats is not, and is exact while the sum
// stays below 2^24. So kExact
// sub-blocks are summed in float; with all of them in one or two such sums, adding the two rounds
// exactly once; with more, they are added as integers.
#if !defined(INFERNO_ISA_PLAIN)
#include "kernel/isa/matmul_tiles.h"

namespace inferno::kernel::INFERNO_ISA {
namespace {

// Sums of q over 32 from the sums over 16.
__m256i sums_of_32(const int16_t* sum) {
  const __m256i sixteens = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sum));
  return _mm256_madd_epi16(sixteens, _mm256_set1_epi16(1));
}

// start[sub] = -zero_point * (sum of q over the sub-block).
template <class S>
INFERNO_INLINE inline void zero_point_starts(const int16_t* sum, int32_t* start) {
  if constexpr (S::kSteps == 4) {
    store_int(start, multiply_int(widen_i16(sum), -S::kZeroPoint));
  } else {
    const __m256i factor = _mm256_set1_epi32(-S::kZeroPoint);
    _mm256_store_si256(reinterpret_cast<__m256i*>(start),
                       _mm256_mullo_epi32(sums_of_32(sum), factor));
  }
}

// The sums of q that the minima are multiplied with, in pairs: over 16 as they are, or over 32.
template <class S>
INFERNO_INLINE inline const int16_t* minima_sums(const int16_t* sum, int16_t* room) {
  if constexpr (S::kSteps == 4) {
    return sum;
  } else {
    const __m256i wide = sums_of_32(sum);
    const __m128i upper = _mm256_extracti128_si256(wide, 1);
    _mm_store_si128(reinterpret_cast<__m128i*>(room),
                    _mm_packs_epi32(_mm256_castsi256_si128(wide), upper));
    return room;
  }
}

// Adds the products of one sub-block, times its sub-scales, to `exact`.
template <class S, int kRows, int kPanels>
INFERNO_INLINE inline void add_sub_block(const S (&source)[kPanels], const RowSlice& rows, int sub,
                                         const int32_t (*start)[16],
                                         Floats (&exact)[kRows][kPanels]) {
  Dot<S::kMaxCode, S::kSteps> dot[kRows][kPanels];
  unroll<0, kRows>([&](auto r) INFERNO_INLINE {
    const int32_t value = S::kZeroPoint != 0 ? start[r][sub] : 0;
    unroll<0, kPanels>([&](auto p) INFERNO_INLINE { dot[r][p].start(value); });
  });
  const int8_t* q = rows.q + sub * S::kSteps * 4;
  unroll<0, S::kSteps>([&](auto step) INFERNO_INLINE {
    Codes codes[kPanels];
    unroll<0, kPanels>([&](auto p) INFERNO_INLINE { codes[p] = source[p].codes(sub, step); });
    unroll<0, kRows>([&](auto r) INFERNO_INLINE {
      const Quad quad = load_quad(q + r * rows.q_stride + step * 4);
      unroll<0, kPanels>([&](auto p) INFERNO_INLINE { dot[r][p].add(codes[p], quad, step); });
    });
  });
  unroll<0, kPanels>([&](auto p) INFERNO_INLINE {
    const Floats scale = source[p].scale(sub);
    unroll<0, kRows>([&](auto r) INFERNO_INLINE {
      exact[r][p] = fma(to_float(dot[r][p].finish()), scale, exact[r][p]);
    });
  });
}

// total = fma(u, scale_x, total), u from the integer sums of the super-block.
template <class S, int kRows, int kPanels>
INFERNO_INLINE inline void add_super_block(const S (&source)[kPanels], const RowSlice& rows,
                                           const Floats (&isum)[kRows][kPanels],
                                           Floats (&total)[kRows][kPanels]) {
  Floats u[kRows][kPanels];
  unroll<0, kPanels>([&](auto p) INFERNO_INLINE {
    const Floats d = source[p].d();
    unroll<0, kRows>([&](auto r) INFERNO_INLINE { u[r][p] = mul(isum[r][p], d); });
  });
  if constexpr (S::kMinimum) {
    alignas(16) int16_t room[kRows][8];
    const int16_t* sums[kRows];
    Ints msum[kRows][kPanels];
    unroll<0, kRows>([&](auto r) INFERNO_INLINE {
      sums[r] = minima_sums<S>(rows.sum + r * rows.sum_stride, room[r]);
      unroll<0, kPanels>([&](auto p) INFERNO_INLINE { msum[r][p] = set1_int(0); });
    });
    unroll<0, S::kSubs / 2>([&](auto pair) INFERNO_INLINE {
      Ints minima[kPanels];
      unroll<0, kPanels>([&](auto p) INFERNO_INLINE { minima[p] = source[p].minima(pair); });
      unroll<0, kRows>([&](auto r) INFERNO_INLINE {
        int32_t both;
        __builtin_memcpy(&both, sums[r] + 2 * pair, 4);
        unroll<0, kPanels>([&](auto p) INFERNO_INLINE {
          msum[r][p] = add_pair_products(msum[r][p], minima[p], both);
        });
      });
    });
    unroll<0, kPanels>([&](auto p) INFERNO_INLINE {
      const Floats dmin = source[p].dmin();
      unroll<0, kRows>([&](auto r)
                           INFERNO_INLINE { u[r][p] = fnma(to_float(msum[r][p]), dmin, u[r][p]); });
    });
  }
  unroll<0, kRows>([&](auto r) INFERNO_INLINE {
    const Floats scale_x = set1(rows.scale[r * rows.scale_stride]);
    unroll<0, kPanels>([&](auto p)
                           INFERNO_INLINE { total[r][p] = fma(u[r][p], scale_x, total[r][p]); });
  });
}

// The arithmetic of one super-block, and its unpacking.
struct SuperBlock {
  template <class S, int kRows, int kPanels>
  INFERNO_INLINE static void add(const S (&source)[kPanels], const RowSlice& rows, StretchShape,
                                 Floats (&total)[kRows][kPanels]) {
    constexpr int kSums = S::kSubs / S::kExact;
    alignas(64) int32_t start[kRows][16];
    if constexpr (S::kZeroPoint != 0) {
      unroll<0, kRows>([&](auto r) INFERNO_INLINE {
        zero_point_starts<S>(rows.sum + r * rows.sum_stride, start[r]);
      });
    }
    Floats isum[kRows][kPanels];
    Ints exact_isum[kRows][kPanels];
    unroll<0, kRows * kPanels>([&](auto i) INFERNO_INLINE {
      isum[i / kPanels][i % kPanels] = zero();
      exact_isum[i / kPanels][i % kPanels] = set1_int(0);
    });
    for (int sum = 0; sum < kSums; ++sum) {
      Floats exact[kRows][kPanels];
      unroll<0, kRows * kPanels>([&](auto i)
                                     INFERNO_INLINE { exact[i / kPanels][i % kPanels] = zero(); });
      for (int i = 0; i < S::kExact; ++i) {
        add_sub_block(source, rows, sum * S::kExact + i, start, exact);
      }
      unroll<0, kRows * kPanels>([&](auto i) INFERNO_INLINE {
        constexpr int kR = i / kPanels, kP = i % kPanels;
        if constexpr (kSums <= 2) {
          isum[kR][kP] = inferno::kernel::INFERNO_ISA::add(isum[kR][kP], exact[kR][kP]);
        } else {
          exact_isum[kR][kP] = add_int(exact_isum[kR][kP], to_int(exact[kR][kP]));
        }
      });
    }
    if constexpr (kSums > 2) {
      unroll<0, kRows * kPanels>([&](auto i) INFERNO_INLINE {
        isum[i / kPanels][i % kPanels] = to_float(exact_isum[i / kPanels][i % kPanels]);
      });
    }
    add_super_block(source, rows, isum, total);
  }

  template <class S>
  static void unpack(const S& source, int, int panel, Tile& tile) {
    for (int sub = 0; sub < S::kSubs; ++sub) {
      unroll<0, S::kSteps>([&](auto step) INFERNO_INLINE {
        store_codes(tile.codes[sub * S::kSteps + step][panel], source.codes(sub, step));
      });
      store(tile.scale[sub][panel], source.scale(sub));
    }
    store(tile.d[panel], source.d());
    if constexpr (S::kMinimum) {
      for (int pair = 0; pair < S::kSubs / 2; ++pair) {
        store_int(tile.minima[pair][panel], source.minima(pair));
      }
      store(tile.dmin[panel], source.dmin());
    }
  }
};

}  // namespace

void matmul_super_blocks(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                         uint8_t* scratch) {
  const MatmulJob job = {w, *x.quantized, x.rows, out, scratch, x.prefetch_bytes};
  switch (w.format) {
    case PackedFormat::kQ2K:
      return multiply<Q2KSource, SuperBlock>(job);
    case PackedFormat::kQ3K:
      return multiply<Q3KSource, SuperBlock>(job);
    case PackedFormat::kQ4K:
      return multiply<Q4KSource, SuperBlock>(job);
    case PackedFormat::kQ5K:
      return multiply<Q5KSource, SuperBlock>(job);
    case PackedFormat::kQ6K:
      return multiply<Q6KSource, SuperBlock>(job);
    case PackedFormat::kCodebook4K:
      return multiply<CodebookSource<32>, SuperBlock>(job);
    case PackedFormat::kCodebook4KFine:
      return multiply<CodebookSource<16>, SuperBlock>(job);
    case PackedFormat::kTernaryK:
      return multiply<TernaryKSource, SuperBlock>(job);
    default:
      return;
  }
}

}  // namespace inferno::kernel::INFERNO_ISA
#endif
