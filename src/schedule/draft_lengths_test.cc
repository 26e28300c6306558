#include "schedule/draft_lengths.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "schedule/test_engine.h"

namespace inferno::schedule {
namespace {

// The next number of rows that has a time of its own.
int next_kept(int rows) {
  return rows < 16 ? rows + 1
                   : rows + static_cast<int>(std::bit_floor(static_cast<unsigned>(rows)) / 4);
}

// `row_s` for each row beyond `free_rows`, on top of a step of 0.1 s.
RowCost cost_of(int free_rows, double row_s) {
  RowCost cost;
  for (int round = 0; round < 20; ++round) {
    for (int rows = 1; rows <= 512; rows = next_kept(rows))
      cost.learn(rows, 0.1 + row_s * std::max(0, rows - free_rows));
  }
  return cost;
}

class Batch {
 public:
  // Sequences of which each could compute `most` drafts that come true with its probability.
  Batch(const std::vector<double>& acceptances, int most) {
    for (const double acceptance : acceptances) {
      sequences_.push_back(make_sequence(sequences_.size() + 1, counting_tokens(0, 4)));
      sequences_.back()->order = sequences_.size();
      candidates_.push_back(
          {.sequence = sequences_.back().get(), .most = most, .acceptance = acceptance});
    }
  }

  // Drafts chosen for each sequence, in the order of the acceptances.
  std::vector<int> choose(const DraftStep& step, const RowCost& cost,
                          DraftLengthRule rule = DraftLengthRule::kByMeasurement) {
    choose_draft_lengths(candidates_, step, cost, rule);
    std::vector<int> chosen(candidates_.size());
    for (const DraftCandidate& candidate : candidates_)
      chosen[candidate.sequence->order - 1] = candidate.chosen;
    return chosen;
  }

  int total(const DraftStep& step, const RowCost& cost) {
    const std::vector<int> chosen = choose(step, cost);
    return std::accumulate(chosen.begin(), chosen.end(), 0);
  }

 private:
  std::vector<std::unique_ptr<Sequence>> sequences_;
  std::vector<DraftCandidate> candidates_;
};

TEST(DraftLengths, LikelyDraftsAreTakenWhereRowsAreFree) {
  Batch one({0.9}, 8);
  EXPECT_EQ(one.choose({.decode_rows = 1, .most_drafts = 100}, cost_of(500, 0.0)),
            std::vector<int>{8});
}

TEST(DraftLengths, UnlikelyDraftsAreNotTakenWhereRowsCost) {
  Batch one({0.1}, 8);
  EXPECT_EQ(one.choose({.decode_rows = 1, .most_drafts = 100}, cost_of(1, 0.03)),
            std::vector<int>{0});
}

TEST(DraftLengths, PassesOfAModelHaveToPay) {
  const RowCost cost = cost_of(500, 0.0);  // 0.1 s a step
  RowCost cheap;
  RowCost dear;
  for (int round = 0; round < 20; ++round) {
    for (int rows = 1; rows <= 64; rows = next_kept(rows)) {
      cheap.learn(rows, 0.005);
      dear.learn(rows, 0.1);
    }
  }
  Batch likely({0.9, 0.9}, 8);
  EXPECT_EQ(likely.total({.decode_rows = 2, .most_drafts = 100, .pass_cost = &cheap}, cost), 16);
  EXPECT_EQ(likely.total({.decode_rows = 2, .most_drafts = 100, .pass_cost = &dear}, cost), 0);
  // A pass of 0.005 s is 5 % of a step: drafts have to come true more often than that.
  EXPECT_EQ(Batch({0.04}, 8).total({.decode_rows = 1, .most_drafts = 9, .pass_cost = &cheap}, cost),
            0);
  EXPECT_EQ(Batch({0.15}, 8).total({.decode_rows = 1, .most_drafts = 9, .pass_cost = &cheap}, cost),
            1);
}

TEST(DraftLengths, PassesCountForWhatTheStepMayTake) {
  const RowCost cost = cost_of(500, 0.0);
  RowCost passes;
  for (int round = 0; round < 20; ++round)
    passes.learn(1, 0.01);
  Batch one({0.95}, 8);
  EXPECT_EQ(
      one.total({.decode_rows = 1, .most_drafts = 9, .longest_s = 0.135, .pass_cost = &passes},
                cost),
      3);
}

TEST(DraftLengths, AFullBatchTakesNone) {
  const RowCost cost = cost_of(8, 0.01);
  EXPECT_GT(Batch({0.8}, 8).total({.decode_rows = 1, .most_drafts = 400}, cost), 3);
  EXPECT_EQ(
      Batch(std::vector<double>(64, 0.8), 8).total({.decode_rows = 64, .most_drafts = 400}, cost),
      0);
}

TEST(DraftLengths, NobodyIsMeasuredNobodyGuesses) {
  EXPECT_EQ(Batch({0.9}, 8).total({.decode_rows = 1, .most_drafts = 8}, RowCost()), 0);
}

TEST(DraftLengths, WhatIsFarFromAllThatIsKnownIsNotTried) {
  RowCost cost;
  for (int i = 0; i < 20; ++i)
    cost.learn(64, 0.5);
  EXPECT_EQ(
      Batch(std::vector<double>(64, 0.9), 8).total({.decode_rows = 64, .most_drafts = 400}, cost),
      64);
}

TEST(DraftLengths, TheLikelierSequenceGetsMore) {
  Batch two({0.5, 0.95}, 8);
  const std::vector<int> chosen =
      two.choose({.decode_rows = 2, .most_drafts = 100}, cost_of(8, 0.01));
  EXPECT_GT(chosen[1], chosen[0]);
}

TEST(DraftLengths, AllLimitsHold) {
  const RowCost cost = cost_of(500, 0.0);
  Batch two({0.9, 0.9}, 8);
  EXPECT_EQ(two.total({.decode_rows = 2, .most_drafts = 5}, cost), 5);
  EXPECT_EQ(two.total({.decode_rows = 2, .most_drafts = 0}, cost), 0);
  const RowCost steep = cost_of(1, 0.01);
  EXPECT_LE(
      Batch({0.99}, 64).total({.decode_rows = 1, .most_drafts = 64, .longest_s = 0.15}, steep), 5);
  EXPECT_EQ(two.total({.decode_rows = 2, .most_drafts = 16, .least_row_s = 0.5}, cost), 0);
}

TEST(DraftLengths, TheLongestRuleAsksNobody) {
  Batch three({0.0, 0.5, 0.0}, 4);
  EXPECT_EQ(
      three.choose({.decode_rows = 3, .most_drafts = 9}, RowCost(), DraftLengthRule::kLongest),
      (std::vector<int>{4, 4, 1}));
}

// Against every distribution of drafts over two sequences.
TEST(DraftLengths, NoOtherChoicePromisesMuchMore) {
  const RowCost cost = cost_of(3, 0.012);
  for (const double a : {0.2, 0.5, 0.7, 0.9, 0.97}) {
    for (const double b : {0.1, 0.6, 0.95}) {
      const auto rate = [&](int i, int j) {
        double tokens = 2.0;
        for (double p = a; i > 0; --i, p *= a)
          tokens += p;
        for (double p = b; j > 0; --j, p *= b)
          tokens += p;
        return tokens;
      };
      double best = 0.0;
      for (int i = 0; i <= 8; ++i) {
        for (int j = 0; j <= 8; ++j)
          best = std::max(best, rate(i, j) / cost.seconds(2 + i + j));
      }
      Batch two({a, b}, 8);
      const std::vector<int> chosen = two.choose({.decode_rows = 2, .most_drafts = 100}, cost);
      const double promised = rate(chosen[0], chosen[1]) / cost.seconds(2 + chosen[0] + chosen[1]);
      EXPECT_GE(promised * kWorthwhile, best) << a << " " << b;
    }
  }
}

}  // namespace
}  // namespace inferno::schedule
