#include "app/prefetch_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace inferno::app {
namespace {

// What is chosen when the candidates take these times, in their order.
int chosen(std::initializer_list<double> seconds) {
  std::vector<PrefetchTime> times;
  for (const double s : seconds)
    times.push_back({.bytes = kPrefetchCandidates[times.size()], .seconds = s});
  return choose_prefetch(times);
}

TEST(PrefetchProbe, TakesTheOneThatIsClearlyFastest) {
  EXPECT_EQ(chosen({1.0, 0.8, 0.9, 1.0}), 1536);
  EXPECT_EQ(chosen({0.5, 0.8, 0.9, 1.0}), 512);
  EXPECT_EQ(chosen({1.0, 0.97, 0.96, 1.0}), 3072);
}

TEST(PrefetchProbe, KeepsTheDefaultWhenNothingIsClearlyFaster) {
  EXPECT_EQ(chosen({1.0, 1.0, 1.0, 1.0}), kernel::kDefaultPrefetchBytes);
  EXPECT_EQ(chosen({0.98, 0.975, 0.99, 1.0}), kernel::kDefaultPrefetchBytes);
  EXPECT_EQ(chosen({1.0, 0.9, 0.8, 0.7}), kernel::kDefaultPrefetchBytes);
}

TEST(PrefetchProbe, ChoosesOneOfTheCandidatesOnThisMachine) {
  ThreadPool pool(2);
  const PrefetchChoice choice = probe_prefetch(kernel::best_table(), pool);
  EXPECT_THAT(kPrefetchCandidates, testing::Contains(choice.chosen_bytes));
  for (const PrefetchTime& time : choice.times)
    EXPECT_GT(time.seconds, 0.0);
}

TEST(PrefetchProbe, MeasuresNothingForTheTableThatFetchesNothing) {
  ThreadPool pool(1);
  const PrefetchChoice choice = probe_prefetch(*kernel::table(kernel::Isa::kPlain), pool);
  EXPECT_EQ(choice.chosen_bytes, kernel::kDefaultPrefetchBytes);
  EXPECT_EQ(describe(choice), "");
}

TEST(PrefetchProbe, DescribesTimesAsMultiplesOfTheBest) {
  const PrefetchChoice choice{.chosen_bytes = 512, .times = {{512, 0.5}, {6144, 0.6}}};
  EXPECT_EQ(describe(choice), " (512: 1.00, 6144: 1.20)");
}

}  // namespace
}  // namespace inferno::app
