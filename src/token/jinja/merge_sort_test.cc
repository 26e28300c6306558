#include "token/jinja/merge_sort.h"

#include <gtest/gtest.h>

#include <random>

namespace inferno::token::jinja {
namespace {

TEST(MergeSort, KeepsTheOrderOfEquals) {
  std::mt19937 random(7);
  for (size_t size = 0; size < 70; ++size) {
    std::vector<std::pair<int, size_t>> items;
    for (size_t i = 0; i < size; ++i)
      items.emplace_back(static_cast<int>(random() % 5), i);
    auto expected = items;
    std::ranges::sort(expected);
    merge_sort(items, [](const auto& a, const auto& b) { return a.first < b.first; });
    EXPECT_EQ(items, expected) << size;
  }
}

TEST(MergeSort, SurvivesAComparisonThatContradictsItself) {
  std::mt19937 random(7);
  std::vector<int> items(1000, 1);
  merge_sort(items, [&](int, int) { return random() % 2 == 0; });
  EXPECT_EQ(items, std::vector<int>(1000, 1));
}

}  // namespace
}  // namespace inferno::token::jinja
