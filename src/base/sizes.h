// Sizes of memory. Counts are int where one counts and size_t where they index memory.
#pragma once

#include <cstddef>

namespace inferno {

inline constexpr size_t kMiB = size_t{1} << 20;
inline constexpr size_t kGiB = size_t{1} << 30;

// Requires: value >= 0.
constexpr size_t as_size(int value) {
  return static_cast<size_t>(value);
}

}  // namespace inferno
