// For tests: the tables this CPU can run, comparison to the bit, and the floats that are not
// numbers.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "kernel/kernels.h"

namespace inferno::kernel {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// kPlain first.
inline std::vector<const KernelTable*> tables_of_this_cpu() {
  std::vector<const KernelTable*> tables;
  for (const Isa isa : kIsas) {
    if (const KernelTable* found = table(isa)) tables.push_back(found);
  }
  return tables;
}

// Index of the first element whose bits differ (any NaN equals any NaN), or -1.
inline int64_t first_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return 0;
  if (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0) return -1;
  for (size_t i = 0; i < a.size(); i++) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i])) {
      return static_cast<int64_t>(i);
    }
  }
  return -1;
}

}  // namespace inferno::kernel
