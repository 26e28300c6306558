// The sampler against a model that sorts everything, against expected distributions, and at the
// edges.
#include "sample/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "sample/test_params.h"

namespace inferno::sample {
namespace {

using request::TokenOutput;

std::vector<float> random_logits(unsigned seed, size_t size, float spread = 3.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> logits(size);
  for (float& x : logits)
    x = normal(generator);
  return logits;
}

// What `params` choose at `position` from a copy of the logits, with a sampler of its own.
TokenOutput choose(std::vector<float> logits, const TestParams& params, int position = 0) {
  Sampler sampler(kernel::best_table(), static_cast<int>(logits.size()));
  return sampler.sample(logits, SamplingState(params, {}, {}), position);
}

// Probabilities by the definition, from a full sort in double precision.
std::vector<double> probabilities(const std::vector<float>& logits, const TestParams& params) {
  std::vector<size_t> order(logits.size());
  for (size_t i = 0; i < order.size(); i++)
    order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  std::vector<double> weight(logits.size());
  for (size_t i = 0; i < order.size(); i++) {
    const double distance = static_cast<double>(logits[order[i]]) - logits[order[0]];
    weight[order[i]] = std::exp(distance / params.temperature);
    if (weight[order[i]] < params.min_p) weight[order[i]] = 0;
  }
  if (params.top_k > 0) {
    for (size_t i = static_cast<size_t>(params.top_k); i < order.size(); i++)
      weight[order[i]] = 0;
  }
  double total = 0;
  for (double w : weight)
    total += w;
  double before = 0;
  for (size_t place : order) {
    const double w = weight[place];
    if (params.top_p < 1 && before >= params.top_p * total) weight[place] = 0;
    before += w;
  }
  total = 0;
  for (double w : weight)
    total += w;
  for (double& w : weight)
    w /= total;
  return weight;
}

// Draws many times and compares with the model by a chi-square test; what cannot be must not come.
void expect_distribution(const std::vector<float>& logits, TestParams params) {
  constexpr int kDraws = 3000;
  params.seed = 1234;
  const auto expected = probabilities(logits, params);
  Sampler sampler(kernel::best_table(), static_cast<int>(logits.size()));
  const SamplingState state(params, {}, {});
  std::vector<int> counts(logits.size());
  std::vector<float> scratch;
  for (int i = 0; i < kDraws; i++) {
    scratch = logits;
    counts[static_cast<size_t>(sampler.sample(scratch, state, i).token)]++;
  }
  double chi_square = 0, rest_expected = 0, rest_count = 0;
  int cells = 0;
  const auto add_cell = [&](double got, double wanted) {
    chi_square += (got - wanted) * (got - wanted) / wanted;
    cells++;
  };
  for (size_t i = 0; i < logits.size(); i++) {
    if (expected[i] == 0) {
      ASSERT_EQ(counts[i], 0) << "token " << i << " is impossible";
    } else if (expected[i] * kDraws >= 10) {
      add_cell(counts[i], expected[i] * kDraws);
    } else {
      rest_expected += expected[i] * kDraws;
      rest_count += counts[i];
    }
  }
  if (rest_expected >= 10) add_cell(rest_count, rest_expected);
  // Mean and variance of chi-square with n degrees of freedom are n and 2 n.
  const double degrees = std::max(1, cells - 1);
  EXPECT_LT(chi_square, degrees + 4.5 * std::sqrt(2 * degrees) + 4);
}

TEST(Sampler, DrawsFromTheWholeDistribution) {
  expect_distribution(random_logits(1, 50, 1.0f), {});
  expect_distribution(random_logits(2, 2000, 2.0f), {});
  expect_distribution(random_logits(3, 513, 1.0f), {.temperature = 0.5f});
  expect_distribution(random_logits(4, 100, 1.0f), {.temperature = 3.0f});
}

TEST(Sampler, DrawsFromTheTopK) {
  expect_distribution(random_logits(5, 1000, 1.0f), {.top_k = 10});
  expect_distribution(random_logits(6, 6000, 1.0f), {.top_k = 5000});
  expect_distribution(random_logits(7, 100, 1.0f), {.top_k = 1});
  expect_distribution(random_logits(8, 100, 1.0f), {.top_k = 1000});
}

TEST(Sampler, DrawsFromTheTopP) {
  expect_distribution(random_logits(9, 1000, 3.0f), {.top_p = 0.9f});
  expect_distribution(random_logits(10, 5000, 0.5f), {.top_p = 0.5f});
  expect_distribution(random_logits(11, 5000, 1.0f), {.top_p = 0.99f});
  expect_distribution(random_logits(12, 300, 1.0f), {.top_p = 0.01f});
}

TEST(Sampler, DrawsAboveMinP) {
  expect_distribution(random_logits(13, 1000, 2.0f), {.min_p = 0.1f});
  expect_distribution(random_logits(14, 1000, 1.0f), {.temperature = 2.0f, .min_p = 0.3f});
  expect_distribution(random_logits(15, 100, 1.0f), {.min_p = 1.0f});
}

TEST(Sampler, CombinesMinPThenTopKThenTopP) {
  expect_distribution(random_logits(16, 1000, 1.0f),
                      {.temperature = 0.8f, .top_p = 0.8f, .top_k = 50});
  expect_distribution(random_logits(17, 1000, 1.0f), {.top_p = 0.9f, .top_k = 40, .min_p = 0.05f});
  expect_distribution(random_logits(18, 6000, 0.3f), {.top_p = 0.7f, .top_k = 5000});
  expect_distribution(random_logits(19, 3000, 0.3f), {.top_p = 0.7f, .min_p = 0.5f});
}

TEST(Sampler, NeverLeavesTheSetOfTheSortingModel) {
  std::mt19937 generator(77);
  for (int round = 0; round < 300; round++) {
    const size_t size = 1 + generator() % 6000;
    auto logits = random_logits(generator(), size, static_cast<float>(generator() % 5) + 0.1f);
    TestParams params;
    params.seed = generator();
    params.temperature = 0.1f + static_cast<float>(generator() % 20) / 10;
    if (generator() % 2 == 0) params.top_k = static_cast<int>(1 + generator() % 6000);
    if (generator() % 2 == 0) params.top_p = static_cast<float>(1 + generator() % 99) / 100;
    if (generator() % 3 == 0) params.min_p = static_cast<float>(generator() % 100) / 200;
    const auto expected = probabilities(logits, params);
    for (int position = 0; position < 20; position++) {
      const auto token = static_cast<size_t>(choose(logits, params, position).token);
      ASSERT_GT(expected[token], 0) << "size " << size << " top_k " << params.top_k << " top_p "
                                    << params.top_p << " min_p " << params.min_p;
    }
  }
}

TEST(Sampler, BreaksTiesOfTopKByTokenId) {
  const std::vector<float> logits(300, 1.5f);
  std::set<TokenId> seen;
  for (int position = 0; position < 500; position++) {
    seen.insert(choose(logits, {.top_k = 3, .seed = 5}, position).token);
  }
  EXPECT_THAT(seen, testing::ElementsAre(0, 1, 2));
}

TEST(Sampler, BreaksTiesOfTopPByTokenId) {
  const std::vector<float> logits(1000, -2.0f);
  TokenId last = 0;
  for (int position = 0; position < 3000; position++) {
    last = std::max(last, choose(logits, {.top_p = 0.5f, .seed = 6}, position).token);
  }
  EXPECT_GT(last, 480);
  EXPECT_LT(last, 500);
}

TEST(Sampler, RepeatsItselfForASeedAndDiffersBetweenSeeds) {
  const auto logits = random_logits(20, 1000, 1.0f);
  std::vector<TokenId> first, again, other;
  for (int position = 0; position < 50; position++) {
    first.push_back(choose(logits, {.seed = 1}, position).token);
    again.push_back(choose(logits, {.seed = 1}, position).token);
    other.push_back(choose(logits, {.seed = 2}, position).token);
  }
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other);
}

TEST(Sampler, DoesNotRememberEarlierRows) {
  Sampler sampler(kernel::best_table(), 2000);
  for (const TestParams& params :
       {TestParams{.top_p = 0.95f, .seed = 1}, TestParams{.top_k = 30, .seed = 1},
        TestParams{.temperature = 0, .logprobs = 3}, TestParams{.seed = 1}}) {
    const SamplingState state(params, {}, {});
    const auto logits = random_logits(21, 2000, 1.0f);
    auto copy = logits;
    const TokenOutput first = sampler.sample(copy, state, 3);
    copy = random_logits(22, 2000, 4.0f);
    sampler.sample(copy, state, 4);
    copy = logits;
    EXPECT_EQ(sampler.sample(copy, state, 3).token, first.token);
    EXPECT_EQ(choose(logits, params, 3).token, first.token);
  }
}

TEST(Sampler, ChoosesTheSameWithEveryTable) {
  for (kernel::Isa isa : {kernel::Isa::kPlain, kernel::Isa::kAvx2, kernel::Isa::kAvx512}) {
    const kernel::KernelTable* table = kernel::table(isa);
    if (table == nullptr) continue;
    Sampler sampler(*table, 3000);
    for (const TestParams& params :
         {TestParams{.seed = 1, .logprobs = 5}, TestParams{.top_p = 0.8f, .seed = 2},
          TestParams{.top_k = 20, .seed = 3}}) {
      for (int position = 0; position < 20; position++) {
        auto logits = random_logits(23, 3000, 1.0f);
        const auto expected = choose(logits, params, position);
        const auto got = sampler.sample(logits, SamplingState(params, {}, {}), position);
        EXPECT_EQ(got.token, expected.token);
        EXPECT_EQ(got.logprob, expected.logprob);
      }
    }
  }
}

TEST(Sampler, GreedyTakesTheFirstOfTheLargest) {
  EXPECT_EQ(choose({1, 4, 2, 4, 4}, {.temperature = 0}).token, 1);
  EXPECT_EQ(choose({kNan, -kInfinity, -5, kNan}, {.temperature = 0}).token, 2);
}

TEST(Sampler, AppliesLogitBias) {
  EXPECT_EQ(choose({1, 2, 3}, {.temperature = 0, .logit_bias = {{0, 5.0f}}}).token, 0);
  EXPECT_EQ(choose({1, 2, 3}, {.temperature = 0, .logit_bias = {{2, -100.0f}}}).token, 1);
  EXPECT_EQ(choose({1, 2, 3}, {.temperature = 0, .logit_bias = {{-1, 50.0f}, {3, 50.0f}}}).token,
            2);
}

TEST(Sampler, ForbidsTheEndBeforeMinTokens) {
  constexpr TokenId kEnds[] = {1, 900};
  Sampler sampler(kernel::best_table(), 4);
  SamplingState state(TestParams{.temperature = 0, .min_tokens = 1, .stop_token_ids = {3}}, {},
                      kEnds);
  std::vector<float> logits = {0, 9, 1, 8};
  EXPECT_EQ(sampler.sample(logits, state, 0).token, 2);
  state.accept(2);
  logits = {0, 9, 1, 8};
  EXPECT_EQ(sampler.sample(logits, state, 1).token, 1);
}

// Logits after penalties, read back through the log probabilities of a second look at the scratch
// row.
std::vector<float> penalized(const TestParams& params) {
  constexpr TokenId kPrompt[] = {0, 1, 1};
  Sampler sampler(kernel::best_table(), 6);
  SamplingState state(params, kPrompt, {});
  for (TokenId token : {1, 2, 2, 4})
    state.accept(token);
  std::vector<float> logits = {2.0f, 2.0f, 2.0f, 2.0f, -2.0f, -2.0f};
  sampler.sample(logits, state, 7);
  return logits;
}

TEST(Sampler, PenalizesPresenceAndFrequencyInTheOutputOnly) {
  EXPECT_THAT(penalized({.temperature = 0, .presence_penalty = 0.5f}),
              testing::ElementsAre(2.0f, 1.5f, 1.5f, 2.0f, -2.5f, -2.0f));
  EXPECT_THAT(penalized({.temperature = 0, .frequency_penalty = 0.5f}),
              testing::ElementsAre(2.0f, 1.5f, 1.0f, 2.0f, -2.5f, -2.0f));
}

TEST(Sampler, PenalizesRepetitionInPromptAndOutput) {
  EXPECT_THAT(penalized({.temperature = 0, .repetition_penalty = 2.0f}),
              testing::ElementsAre(1.0f, 1.0f, 1.0f, 2.0f, -4.0f, -2.0f));
  EXPECT_THAT(penalized({.temperature = 0, .presence_penalty = 1.0f, .repetition_penalty = 2.0f}),
              testing::ElementsAre(1.0f, 0.0f, 0.0f, 2.0f, -5.0f, -2.0f));
}

TEST(Sampler, ReportsLogprobsOfTheRawLogits) {
  const auto logits = random_logits(24, 700);
  double total = 0;
  for (float x : logits)
    total += std::exp(static_cast<double>(x));
  const TokenOutput out =
      choose(logits, {.temperature = 0.5f, .logit_bias = {{99, 100.0f}}, .seed = 1, .logprobs = 4});
  EXPECT_EQ(out.token, 99);
  EXPECT_NEAR(out.logprob, logits[99] - std::log(total), 1e-5);
  int larger = 0;
  for (float x : logits)
    larger += static_cast<int>(x > logits[99]);
  EXPECT_EQ(out.rank, larger + 1);
  auto descending = logits;
  std::sort(descending.rbegin(), descending.rend());
  ASSERT_EQ(out.top.size(), 4u);
  for (size_t i = 0; i < 4; i++) {
    EXPECT_EQ(logits[static_cast<size_t>(out.top[i].token)], descending[i]);
    EXPECT_NEAR(out.top[i].logprob, descending[i] - std::log(total), 1e-5);
    EXPECT_EQ(out.top[i].rank, static_cast<int>(i) + 1);
  }
}

TEST(Sampler, RanksTiesByTokenId) {
  const std::vector<float> logits = {1, 3, 3, 2, 3};
  Sampler sampler(kernel::best_table(), 5);
  const TokenOutput out = sampler.score(logits, 4, 5);
  EXPECT_EQ(out.rank, 3);
  std::vector<TokenId> order;
  for (const auto& best : out.top)
    order.push_back(best.token);
  EXPECT_THAT(order, testing::ElementsAre(1, 2, 4, 3, 0));
  EXPECT_EQ(sampler.score(logits, 0, 0).rank, 5);
}

TEST(Sampler, ScoresWithoutAlternativesWhenNoneAreWanted) {
  Sampler sampler(kernel::best_table(), 3);
  const TokenOutput out = sampler.score(std::vector<float>{0, 0, 0}, 1, 0);
  EXPECT_TRUE(out.top.empty());
  EXPECT_NEAR(out.logprob, -std::log(3.0), 1e-6);
}

TEST(Sampler, ReportsNoLogprobsUnlessAsked) {
  const TokenOutput out = choose({1, 2, 3}, {.temperature = 0});
  EXPECT_EQ(out.token, 2);
  EXPECT_TRUE(out.top.empty());
  EXPECT_EQ(out.rank, 0);
}

std::vector<TestParams> every_way() {
  return {{.seed = 1},
          {.temperature = 0},
          {.top_k = 3, .seed = 1},
          {.top_p = 0.7f, .seed = 1},
          {.seed = 1, .logprobs = 2},
          {.min_p = 0.5f, .seed = 1},
          {.top_p = 0.7f, .top_k = 5, .min_p = 0.2f, .seed = 1, .logprobs = 2},
          {.temperature = 1e-4f, .seed = 1}};
}

TEST(Sampler, ChoosesThePossibleTokenAmongImpossibleOnes) {
  for (size_t size : {2, 17, 600}) {
    for (float impossible : {-kInfinity, kNan}) {
      std::vector<float> logits(size, impossible);
      logits[size - 1] = -3.0f;
      for (const TestParams& params : every_way()) {
        for (int position = 0; position < 5; position++) {
          EXPECT_EQ(choose(logits, params, position).token, static_cast<TokenId>(size - 1));
        }
      }
    }
  }
}

TEST(Sampler, AnswersSomethingWhateverTheLogits) {
  for (size_t size : {1, 2, 1000}) {
    for (float filling : {0.0f, kInfinity, -kInfinity, kNan, 3e38f, -3e38f, 1e-40f}) {
      for (const TestParams& params : every_way()) {
        const TokenOutput out = choose(std::vector<float>(size, filling), params, 3);
        ASSERT_GE(out.token, 0);
        ASSERT_LT(static_cast<size_t>(out.token), size);
        ASSERT_FALSE(std::isnan(out.logprob));
        for (const auto& best : out.top)
          ASSERT_FALSE(std::isnan(best.logprob));
      }
    }
  }
}

TEST(Sampler, TakesTheFirstInfiniteLogit) {
  const std::vector<float> logits = {1, kInfinity, kNan, kInfinity, -kInfinity};
  for (const TestParams& params : every_way()) {
    const TokenOutput out = choose(logits, params);
    EXPECT_EQ(out.token, 1);
    if (params.logprobs) {
      EXPECT_NEAR(out.logprob, -std::log(2.0), 1e-6);
    }
  }
}

}  // namespace
}  // namespace inferno::sample
