// A stable sort that stays within its memory whatever the comparison does: it may throw, and it may
// contradict itself (a NaN is neither less nor greater), which std::sort does not survive.
#pragma once

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

namespace inferno::token::jinja {

// Sorts so that no item is less than the one before it; O(n log n) comparisons. When `less` throws,
// the items are left in an unspecified state.
template <typename Item, typename Less>
void merge_sort(std::vector<Item>& items, Less less) {
  std::vector<Item> merged;
  merged.reserve(items.size());
  for (size_t width = 1; width < items.size(); width *= 2) {
    merged.clear();
    for (size_t begin = 0; begin < items.size(); begin += 2 * width) {
      const auto at = [&](size_t place) {
        const size_t bounded = std::min(place, items.size());
        return std::make_move_iterator(items.begin() + static_cast<ptrdiff_t>(bounded));
      };
      std::merge(at(begin), at(begin + width), at(begin + width), at(begin + 2 * width),
                 std::back_inserter(merged), less);
    }
    items.swap(merged);
  }
}

}  // namespace inferno::token::jinja
