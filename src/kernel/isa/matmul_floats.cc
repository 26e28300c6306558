// Matrix products with float weights (kF32, kF16): per output one chain of fma over k
// ascending.
//
// Few rows: kDirectPanels panels side by side, because one chain is bound by the latency of fma.
// Many rows: as in matmul_tiles.h, blocks of rows against a tile of kTileK k by kFloatPanels
// panels, converted to float once.
#include "kernel/isa/matmul.h"
#include "kernel/isa/outputs.h"
#include "kernel/isa/unroll.h"
#include "kernel/isa/vec.h"

namespace inferno::kernel::INFERNO_ISA {
namespace {

#if defined(INFERNO_ISA_AVX512)
constexpr int kFloatPanels = 4;  // 6 x 4 accumulators of 32 registers
constexpr int kFloatRows = 6;
#elif defined(INFERNO_ISA_AVX2)
constexpr int kFloatPanels = 1;  // 5 x 2 accumulators of 16 registers
constexpr int kFloatRows = 5;
#else
constexpr int kFloatPanels = 1;
constexpr int kFloatRows = 1;
#endif
constexpr int kDirectPanels = 4;
constexpr int kFewRows = 3;
constexpr int kTileK = 128;  // 4 panels of it are 32 KiB
constexpr int kPrefetchBytes = 1024;

template <PackedFormat kFormat>
INFERNO_INLINE inline Floats load_weights(const uint8_t* panel, int k) {
  if constexpr (kFormat == PackedFormat::kF32) {
    return load(reinterpret_cast<const float*>(panel) + k * 16);
  } else {
    return load_f16(reinterpret_cast<const uint16_t*>(panel) + k * 16);
  }
}

struct FloatJob {
  const PackedMatrix& w;
  const float* x;
  int rows;
  const MatmulOutput& out;
  uint8_t* scratch;
};

// kRows rows by kPanels panels from `panel` on, the packed weights read once.
template <PackedFormat kFormat, int kRows, int kPanels>
__attribute__((noinline)) void multiply_direct(const FloatJob& job, int panel) {
  const uint8_t* w = job.w.data + static_cast<size_t>(panel) * job.w.panel_bytes;
  const size_t stride = job.w.panel_bytes;
  const size_t row_stride = static_cast<size_t>(job.w.k);
  constexpr int kStepBytes = kFormat == PackedFormat::kF32 ? 64 : 32;
  Floats total[kRows][kPanels];
  unroll<0, kRows * kPanels>([&](auto i)
                                 INFERNO_INLINE { total[i / kPanels][i % kPanels] = zero(); });
  for (int k = 0; k < job.w.k; ++k) {
    unroll<0, kPanels>([&](auto p) INFERNO_INLINE {
      const uint8_t* from = w + static_cast<size_t>(p) * stride;
      __builtin_prefetch(from + k * kStepBytes + kPrefetchBytes);
      const Floats weights = load_weights<kFormat>(from, k);
      unroll<0, kRows>([&](auto r) INFERNO_INLINE {
        const Floats x = set1(job.x[r * row_stride + static_cast<size_t>(k)]);
        total[r][p] = fma(x, weights, total[r][p]);
      });
    });
  }
  unroll<0, kRows * kPanels>([&](auto i) INFERNO_INLINE {
    write_outputs(job.out, job.w.n, i / kPanels, panel + i % kPanels,
                  total[i / kPanels][i % kPanels]);
  });
}

template <PackedFormat kFormat, int kRows>
inline void multiply_few(const FloatJob& job) {
  if constexpr (kRows > 1) {
    if (job.rows < kRows) return multiply_few<kFormat, kRows - 1>(job);
  }
  int panel = job.out.panel_begin;
  for (; panel + kDirectPanels <= job.out.panel_end; panel += kDirectPanels) {
    multiply_direct<kFormat, kRows, kDirectPanels>(job, panel);
  }
  for (; panel < job.out.panel_end; ++panel) {
    multiply_direct<kFormat, kRows, 1>(job, panel);
  }
}

// A block of rows against a tile [count][kFloatPanels][16] float.
struct FloatBlock {
  const float* tile;
  const float* x;
  size_t x_stride;
  int count;
  float* totals;  // [kRows][kFloatPanels][16], read and written
};

template <int kRows>
__attribute__((noinline)) void multiply_tile(const FloatBlock& block) {
  constexpr int kWidth = kFloatPanels * 16;
  Floats total[kRows][kFloatPanels];
  unroll<0, kRows * kFloatPanels>([&](auto i) INFERNO_INLINE {
    total[i / kFloatPanels][i % kFloatPanels] = load(block.totals + i * 16);
  });
  for (int k = 0; k < block.count; ++k) {
    Floats weights[kFloatPanels];
    unroll<0, kFloatPanels>(
        [&](auto p) INFERNO_INLINE { weights[p] = load(block.tile + k * kWidth + p * 16); });
    unroll<0, kRows>([&](auto r) INFERNO_INLINE {
      const Floats x = set1(block.x[r * block.x_stride + static_cast<size_t>(k)]);
      unroll<0, kFloatPanels>(
          [&](auto p) INFERNO_INLINE { total[r][p] = fma(x, weights[p], total[r][p]); });
    });
  }
  unroll<0, kRows * kFloatPanels>([&](auto i) INFERNO_INLINE {
    store(block.totals + i * 16, total[i / kFloatPanels][i % kFloatPanels]);
  });
}

template <int kRows>
inline void multiply_tile_rows(const FloatBlock& block, int rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return multiply_tile_rows<kRows - 1>(block, rows);
  }
  multiply_tile<kRows>(block);
}

// A block of rows times a group of at most kFloatPanels panels.
template <PackedFormat kFormat>
void multiply_group(const FloatJob& job, const PanelGroup& group) {
  constexpr int kWidth = kFloatPanels * 16;
  float* tile = reinterpret_cast<float*>(job.scratch);
  float* totals = tile + kTileK * kWidth;
  const int rows = group.row_end - group.row_begin;
  const size_t k_total = static_cast<size_t>(job.w.k);
  __builtin_memset(totals, 0, sizeof(float) * static_cast<size_t>(rows * kWidth));
  for (int k = 0; k < job.w.k; k += kTileK) {
    const int count = job.w.k - k < kTileK ? job.w.k - k : kTileK;
    for (int p = 0; p < kFloatPanels; ++p) {  // a panel that does not exist repeats the last
      const int panel = group.panel + (p < group.panels ? p : group.panels - 1);
      const uint8_t* w = job.w.data + static_cast<size_t>(panel) * job.w.panel_bytes;
      for (int i = 0; i < count; ++i) {
        store(tile + i * kWidth + p * 16, load_weights<kFormat>(w, k + i));
      }
    }
    for (int row = 0; row < rows; row += kFloatRows) {
      const size_t from = static_cast<size_t>(group.row_begin + row) * k_total;
      const FloatBlock block = {tile, job.x + from + static_cast<size_t>(k), k_total, count,
                                totals + row * kWidth};
      multiply_tile_rows<kFloatRows>(block, rows - row);
    }
  }
  for (int row = 0; row < rows; ++row) {
    for (int p = 0; p < group.panels; ++p) {
      write_outputs(job.out, job.w.n, group.row_begin + row, group.panel + p,
                    load(totals + row * kWidth + p * 16));
    }
  }
}

template <PackedFormat kFormat>
void multiply(const FloatJob& job) {
  if (job.rows <= kFewRows) return multiply_few<kFormat, kFewRows>(job);
  const int fit = (1 << 18) / job.w.k;  // 1 MiB of activations stays in L2
  const int limit = (fit < 48 ? 48 : fit > 480 ? 480 : fit) / kFloatRows * kFloatRows;
  for (int row = 0; row < job.rows; row += limit) {
    const int row_end = row + limit < job.rows ? row + limit : job.rows;
    for (int panel = job.out.panel_begin; panel < job.out.panel_end; panel += kFloatPanels) {
      const int left = job.out.panel_end - panel;
      multiply_group<kFormat>(job,
                              {row, row_end, panel, left < kFloatPanels ? left : kFloatPanels});
    }
  }
}

}  // namespace

void matmul_floats(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                   uint8_t* scratch) {
  const FloatJob job = {w, x.floats, x.rows, out, scratch};
  if (w.format == PackedFormat::kF32) return multiply<PackedFormat::kF32>(job);
  return multiply<PackedFormat::kF16>(job);
}

}  // namespace inferno::kernel::INFERNO_ISA
