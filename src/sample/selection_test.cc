#include "sample/selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "sample/test_params.h"

namespace inferno::sample {
namespace {

// What a Selection says about a row, maxima and all.
std::vector<Candidate> largest_of(const std::vector<float>& logits, int count,
                                  float floor = -kInfinity, float factor = 1.0f) {
  std::vector<float> maxima((logits.size() + LogitRow::kBlock - 1) / LogitRow::kBlock);
  kernel::best_table().block_maxima(logits.data(), static_cast<int>(logits.size()), maxima.data());
  LogitRow row(logits, maxima, factor);
  row.set_floor(floor);
  Selection selection;
  const auto got = selection.largest(row, count);
  return {got.begin(), got.end()};
}

std::vector<Candidate> sorted(const std::vector<float>& logits, size_t count, float floor) {
  std::vector<Candidate> all;
  for (size_t i = 0; i < logits.size(); i++) {
    if (logits[i] >= floor) all.push_back({static_cast<TokenId>(i), logits[i]});
  }
  std::sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  });
  all.resize(std::min(count, all.size()));
  return all;
}

// Few distinct values for many ties, some of them special.
std::vector<float> row_with_ties(std::mt19937& generator, size_t size) {
  const unsigned distinct = 1u << generator() % 16;
  std::vector<float> row(size);
  for (float& x : row) {
    x = static_cast<float>(generator() % distinct) - static_cast<float>(distinct) / 2;
    if (generator() % 50 == 0) x = -kInfinity;
    if (generator() % 50 == 0) x = kNan;
  }
  return row;
}

TEST(Selection, AgreesWithASort) {
  std::mt19937 generator(3);
  for (int round = 0; round < 400; round++) {
    const auto row = row_with_ties(generator, 1 + generator() % 3000);
    const int count = static_cast<int>(1 + generator() % (round % 2 == 0 ? 40 : 3000));
    const float floor = round % 3 == 0 ? 0.0f : -kInfinity;
    const auto got = largest_of(row, count, floor);
    const auto expected = sorted(row, static_cast<size_t>(count), floor);
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); i++) {
      ASSERT_EQ(got[i].token, expected[i].token) << "place " << i;
      ASSERT_EQ(got[i].logit, expected[i].logit);
    }
  }
}

TEST(Selection, FindsTheLargestInRisingAndFallingRows) {
  std::vector<float> row(10000);
  for (size_t i = 0; i < row.size(); i++)
    row[i] = static_cast<float>(i);
  EXPECT_EQ(largest_of(row, 100).front().token, 9999);
  EXPECT_EQ(largest_of(row, 100).back().token, 9900);
  std::reverse(row.begin(), row.end());
  EXPECT_EQ(largest_of(row, 100).front().token, 0);
  EXPECT_EQ(largest_of(row, 100).back().token, 99);
}

// Two logits that a factor rounds to one value are equals: the smaller token comes first.
TEST(Selection, OrdersByTheValuesThatTheFactorLeaves) {
  std::mt19937 generator(5);
  const float factor = 1.0f / 0.7f;
  for (int round = 0; round < 200; round++) {
    std::vector<float> row(1 + generator() % 3000);
    float x = 3.0f;
    for (float& logit : row) {
      if (generator() % 4 == 0) x = std::nextafter(x, generator() % 2 == 0 ? 0.0f : 9.0f);
      logit = x;
    }
    std::vector<float> scaled = row;
    for (float& logit : scaled)
      logit *= factor;
    const int count = static_cast<int>(1 + generator() % 40);
    const auto got = largest_of(row, count, -kInfinity, factor);
    const auto expected = sorted(scaled, static_cast<size_t>(count), -kInfinity);
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); i++) {
      ASSERT_EQ(got[i].token, expected[i].token) << "place " << i;
      ASSERT_EQ(got[i].logit, expected[i].logit);
    }
  }
}

TEST(Selection, OfNothingIsEmpty) {
  const std::vector<float> row = {1.0f, 2.0f};
  EXPECT_TRUE(largest_of(row, 0).empty());
  EXPECT_TRUE(largest_of(row, 5, 3.0f).empty());
  EXPECT_TRUE(largest_of({}, 5).empty());
}

TEST(Selection, KeepsExactlyTheLargest) {
  std::mt19937 generator(4);
  Selection selection;
  for (int round = 0; round < 200; round++) {
    const auto row = row_with_ties(generator, 1 + generator() % 500);
    const int count = static_cast<int>(1 + generator() % 500);
    auto masked = row;
    selection.keep_largest(masked, count);
    std::vector<float> expected(row.size(), -kInfinity);
    for (const Candidate& c : sorted(row, static_cast<size_t>(count), -kInfinity)) {
      expected[static_cast<size_t>(c.token)] = c.logit;
    }
    for (size_t i = 0; i < row.size(); i++) {
      if (!std::isnan(row[i])) {
        ASSERT_EQ(masked[i], expected[i]) << i;
      }
    }
  }
}

}  // namespace
}  // namespace inferno::sample
