// Quantized matrix products in plain C++, written as kernels.h defines them: the oracle of the
// others, and what runs on a CPU without AVX2. Each stretch of 256 k of a panel is unpacked once
// for all rows.
#if defined(INFERNO_ISA_PLAIN)
#include "kernel/isa/matmul.h"
#include "kernel/isa/unpack_plain.h"
#include "kernel/isa/vec.h"

namespace inferno::kernel::plain {
namespace {

// A row's activations from a stretch on.
struct Row {
  const int8_t* q;
  const float* scale;
  const int16_t* sum;
};

// dot[o] = sum of value * q over a sub-block; sum = sum of q.
struct SubBlockDots {
  int32_t dot[16];
  int32_t sum;
};

SubBlockDots dots_of(const UnpackedStretch& w, const Row& x, int sub) {
  SubBlockDots result = {};
  const int begin = sub * w.sub_elements;
  for (int k = begin; k < begin + w.sub_elements; ++k) {
    for (int o = 0; o < 16; ++o) {
      result.dot[o] += w.value[k][o] * x.q[k];
    }
  }
  for (int i = begin / 16; i < (begin + w.sub_elements) / 16; ++i) {
    result.sum += x.sum[i];
  }
  return result;
}

void add_groups(const PackedMatrix& w, const UnpackedStretch& stretch, const Row& x, int groups,
                float* total) {
  for (int g = 0; g < groups; ++g) {
    const SubBlockDots dots = dots_of(stretch, x, g);
    for (int o = 0; o < 16; ++o) {
      const float scale = stretch.scale[g][o] * x.scale[g];
      total[o] = __builtin_fmaf(static_cast<float>(dots.dot[o]), scale, total[o]);
      if (!w.has_minimum) continue;
      const float sum = static_cast<float>(dots.sum) * x.scale[g];
      total[o] = __builtin_fmaf(sum, stretch.minimum[g][o], total[o]);
    }
  }
}

void add_super_block(const PackedMatrix& w, const UnpackedStretch& stretch, const Row& x,
                     float* total) {
  int32_t isum[16] = {};
  int32_t msum[16] = {};
  for (int sub = 0; sub < 256 / stretch.sub_elements; ++sub) {
    const SubBlockDots dots = dots_of(stretch, x, sub);
    for (int o = 0; o < 16; ++o) {
      isum[o] += stretch.sub_scale[sub][o] * dots.dot[o];
      msum[o] += stretch.sub_minimum[sub][o] * dots.sum;
    }
  }
  for (int o = 0; o < 16; ++o) {
    float u = static_cast<float>(isum[o]) * stretch.scale[0][o];
    if (w.has_minimum) {
      u = __builtin_fmaf(static_cast<float>(msum[o]), -stretch.minimum[0][o], u);
    }
    total[o] = __builtin_fmaf(u, x.scale[0], total[o]);
  }
}

// At most kBlockRows rows, and one panel.
struct Part {
  int row_begin, row_end;
  int panel;
};

void multiply_part(const PackedMatrix& w, const QuantizedRows& x, const MatmulOutput& out,
                   const Part& part, uint8_t* scratch) {
  UnpackedStretch* stretch = reinterpret_cast<UnpackedStretch*>(scratch);
  float* totals = reinterpret_cast<float*>(stretch + 1);
  const int count = part.row_end - part.row_begin;
  __builtin_memset(totals, 0, static_cast<size_t>(count) * 64);
  const size_t k_total = static_cast<size_t>(x.k);
  const size_t block = static_cast<size_t>(x.block);
  for (int k = 0; k < w.k; k += 256) {
    unpack_stretch(w, part.panel, k / 256, stretch);
    for (int i = 0; i < count; ++i) {
      const size_t at = static_cast<size_t>(part.row_begin + i) * k_total + static_cast<size_t>(k);
      const Row row = {x.q + at, x.scale + at / block, x.sum + at / 16};
      if (x.block == 256) {
        add_super_block(w, *stretch, row, totals + i * 16);
      } else {
        add_groups(w, *stretch, row, w.k - k < 256 ? (w.k - k) / 32 : 8, totals + i * 16);
      }
    }
  }
  const int outputs = w.n - part.panel * 16 < 16 ? w.n - part.panel * 16 : 16;
  for (int i = 0; i < count; ++i) {
    float* y = out.y + static_cast<size_t>(part.row_begin + i) * out.stride +
               static_cast<size_t>(part.panel) * 16;
    for (int o = 0; o < outputs; ++o) {
      const float total = totals[i * 16 + o];
      y[o] = out.accumulate ? y[o] + total : total;
    }
  }
}

constexpr int kBlockRows = 512;

}  // namespace

void matmul_groups(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                   uint8_t* scratch) {
  for (int panel = out.panel_begin; panel < out.panel_end; ++panel) {
    for (int row = 0; row < x.rows; row += kBlockRows) {
      const int end = row + kBlockRows < x.rows ? row + kBlockRows : x.rows;
      multiply_part(w, *x.quantized, out, {row, end, panel}, scratch);
    }
  }
}

void matmul_super_blocks(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                         uint8_t* scratch) {
  matmul_groups(w, x, out, scratch);
}

}  // namespace inferno::kernel::plain
#endif
