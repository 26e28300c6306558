// Matrix products with one scale per group of 32 k: kQ4, kQ5, kQ8, with minima or a codebook.
#if !defined(INFERNO_ISA_PLAIN)
#include "kernel/isa/matmul_tiles.h"

namespace inferno::kernel::INFERNO_ISA {
namespace {

// What a row's sums of q become, for up to 8 groups: one of the two.
struct GroupSums {
  alignas(32) int32_t start[8];  // without minima: -zero_point * sum(q)
  alignas(32) float sum[8];      // with minima: sum(q) * scale_x
};

template <bool kMinimum>
void sum_groups(const int16_t* sum, const float* scale_x, const StretchShape& shape,
                GroupSums& out) {
  for (int g = 0; g < shape.subs; ++g) {
    const int32_t total = sum[2 * g] + sum[2 * g + 1];
    if constexpr (kMinimum) {
      out.sum[g] = static_cast<float>(total) * scale_x[g];
    } else {
      out.start[g] = -shape.zero_point * total;
    }
  }
}

template <bool kMinimum>
INFERNO_INLINE inline void sum_8_groups(const int16_t* sum, const float* scale_x, int zero_point,
                                        GroupSums& out) {
  const __m256i sixteens = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sum));
  const __m256i totals = _mm256_madd_epi16(sixteens, _mm256_set1_epi16(1));
  if constexpr (kMinimum) {
    _mm256_store_ps(out.sum, _mm256_mul_ps(_mm256_cvtepi32_ps(totals), _mm256_loadu_ps(scale_x)));
  } else {
    _mm256_store_si256(reinterpret_cast<__m256i*>(out.start),
                       _mm256_mullo_epi32(totals, _mm256_set1_epi32(-zero_point)));
  }
}

// One group: total = fma(dot, scale_w * scale_x, total), then the minimum's part.
template <class S, int kRows, int kPanels>
INFERNO_INLINE inline void add_group(const S (&source)[kPanels], const RowSlice& rows, int group,
                                     const GroupSums (&sums)[kRows],
                                     Floats (&total)[kRows][kPanels]) {
  Dot<S::kMaxCode, 8> dot[kRows][kPanels];
  unroll<0, kRows>([&](auto r) INFERNO_INLINE {
    const int32_t start = S::kMinimum ? 0 : sums[r].start[group];
    unroll<0, kPanels>([&](auto p) INFERNO_INLINE { dot[r][p].start(start); });
  });
  unroll<0, 8>([&](auto step) INFERNO_INLINE {
    Codes codes[kPanels];
    unroll<0, kPanels>([&](auto p) INFERNO_INLINE { codes[p] = source[p].codes(group, step); });
    unroll<0, kRows>([&](auto r) INFERNO_INLINE {
      const Quad quad = load_quad(rows.q + r * rows.q_stride + group * 32 + step * 4);
      unroll<0, kPanels>([&](auto p) INFERNO_INLINE { dot[r][p].add(codes[p], quad, step); });
    });
  });
  unroll<0, kPanels>([&](auto p) INFERNO_INLINE {
    const Floats scale = source[p].scale(group);
    Floats minimum = zero();
    if constexpr (S::kMinimum) minimum = source[p].minimum(group);
    unroll<0, kRows>([&](auto r) INFERNO_INLINE {
      const Floats scale_x = set1(rows.scale[r * rows.scale_stride + static_cast<size_t>(group)]);
      total[r][p] = fma(to_float(dot[r][p].finish()), mul(scale, scale_x), total[r][p]);
      if constexpr (S::kMinimum) {
        total[r][p] = fma(set1(sums[r].sum[group]), minimum, total[r][p]);
      }
    });
  });
}

// The arithmetic of up to 8 groups, and their unpacking.
struct Groups {
  template <class S, int kRows, int kPanels>
  INFERNO_INLINE static void add(const S (&source)[kPanels], const RowSlice& rows,
                                 StretchShape shape, Floats (&total)[kRows][kPanels]) {
    GroupSums sums[kRows];
    unroll<0, kRows>([&](auto r) INFERNO_INLINE {
      const int16_t* sum = rows.sum + r * rows.sum_stride;
      const float* scale_x = rows.scale + r * rows.scale_stride;
      if (shape.subs == 8) {
        sum_8_groups<S::kMinimum>(sum, scale_x, shape.zero_point, sums[r]);
      } else {
        sum_groups<S::kMinimum>(sum, scale_x, shape, sums[r]);
      }
    });
    for (int group = 0; group < shape.subs; ++group) {
      add_group(source, rows, group, sums, total);
    }
  }

  template <class S>
  static void unpack(const S& source, int subs, int panel, Tile& tile) {
    for (int group = 0; group < subs; ++group) {
      unroll<0, 8>([&](auto step) INFERNO_INLINE {
        store_codes(tile.codes[group * 8 + step][panel], source.codes(group, step));
      });
      store(tile.scale[group][panel], source.scale(group));
      if constexpr (S::kMinimum) store(tile.minimum[group][panel], source.minimum(group));
    }
  }
};

template <GroupCodes kCodes>
void multiply_codes(const MatmulJob& job) {
  if (job.w.has_minimum) return multiply<GroupSource<kCodes, true>, Groups>(job);
  return multiply<GroupSource<kCodes, false>, Groups>(job);
}

}  // namespace

void matmul_groups(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                   uint8_t* scratch) {
  const MatmulJob job = {w, *x.quantized, x.rows, out, scratch, x.prefetch_bytes};
  switch (w.format) {
    case PackedFormat::kQ4:
      if (w.codebook != nullptr) {
        PackedMatrix centred = w;
        centred.zero_point = 128;  // levels are looked up as level + 128
        return multiply<GroupSource<GroupCodes::kCodebook, false>, Groups>(
            {centred, *x.quantized, x.rows, out, scratch});
      }
      return multiply_codes<GroupCodes::kNibbles>(job);
    case PackedFormat::kQ5:
      return multiply_codes<GroupCodes::kNibblesAndBits>(job);
    case PackedFormat::kQ8:
      return multiply<GroupSource<GroupCodes::kBytes, false>, Groups>(job);
    default:
      return;
  }
}

}  // namespace inferno::kernel::INFERNO_ISA
#endif
