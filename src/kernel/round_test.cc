// Activations rounded to bfloat16 tiles: every table against the values written out.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "kernel/matmul_test_data.h"
#include "kernel/test_tables.h"

namespace inferno::kernel {
namespace {

TEST(RoundRows, RoundsToNearestEvenAndFillsUpWithZeros) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::pair<float, uint16_t>> cases = {
      {1.0f, 0x3F80},
      {-2.5f, 0xC020},
      {0x1.01p0f, 0x3F80},  // halfway, down to even
      {0x1.03p0f, 0x3F82},  // halfway, up to even
      {0x1.010002p0f, 0x3F81},
      {3.4e38f, 0x7F80},
      {-INFINITY, 0xFF80},
      {0x1p-130f, 0x0008},
      {0x1.fffffep-127f, 0x0080},
      {nan, 0x7FC0},
      {-0.0f, 0x8000}};
  const int k = static_cast<int>(cases.size());
  const int rows = 18;
  std::vector<float> floats;
  for (int row = 0; row < rows; ++row) {
    for (const auto& [from, to] : cases)
      floats.push_back(from);
  }
  const size_t elements = rounded_bytes(rows, k) / sizeof(uint16_t);
  for (const KernelTable* kernels : tables_of_this_cpu()) {
    const AlignedBytes bytes(rounded_bytes(rows, k));
    std::memset(bytes.data(), 0xAB, rounded_bytes(rows, k));
    const RoundedRows out{reinterpret_cast<uint16_t*>(bytes.data()), rows, k};
    kernels->round_rows(floats.data(), static_cast<size_t>(k), 1, rows, out);
    kernels->round_rows(floats.data(), static_cast<size_t>(k), 0, 1, out);
    for (size_t i = 0; i < elements; ++i) {
      const size_t row = i / 32;
      const size_t column = i % 32;
      const uint16_t want = row >= 18               ? uint16_t{0xABAB}  // of no row
                            : column < cases.size() ? cases[column].second
                                                    : uint16_t{0};
      ASSERT_EQ(out.x[i], want) << name_of(kernels->isa) << " row " << row << " k " << column;
    }
  }
}

}  // namespace
}  // namespace inferno::kernel
