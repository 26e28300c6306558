#include "load/traffic.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace inferno::load {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

DatasetOptions requests(int count) {
  DatasetOptions options;
  options.request_count = count;
  return options;
}

std::vector<int> counts_of(const Plan& plan, int Conversation::* index, size_t size) {
  std::vector<int> counts(size);
  for (const Conversation& conversation : plan.conversations)
    ++counts[static_cast<size_t>(conversation.*index)];
  return counts;
}

TEST(Mix, IsNamesAndWeights) {
  const auto mix = parse_mix("interactive:0.3,batch:0.7,standard");
  ASSERT_TRUE(mix);
  ASSERT_EQ(mix->size(), 3U);
  EXPECT_EQ((*mix)[0].name, "interactive");
  EXPECT_EQ((*mix)[1].weight, 0.7);
  EXPECT_EQ((*mix)[2].weight, 1.0);
  EXPECT_TRUE(parse_mix("")->empty());
}

TEST(Mix, RefusesWhatIsNone) {
  for (const char* text :
       {"a:0", "a:-1", "a:x", ":1", "a:1,a:2", "a:", "a b:1", ",", "a:inf", "a:nan", "a:1x"}) {
    EXPECT_FALSE(parse_mix(text)) << text;
  }
}

TEST(Traffic, DealsClassesByExactCounts) {
  TrafficOptions traffic;
  traffic.mix = *parse_mix("a:3,b:1");
  const auto plan = make_plan(requests(100), traffic);
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->classes, ElementsAre("a", "b"));
  EXPECT_THAT(counts_of(*plan, &Conversation::class_index, 2), ElementsAre(75, 25));
  // Shuffled: the first quarter is not of one class.
  const auto& all = plan->conversations;
  EXPECT_TRUE(std::any_of(all.begin(), all.begin() + 75,
                          [](const Conversation& c) { return c.class_index == 1; }));
}

TEST(Traffic, EqualClientsSendEquallyMuch) {
  TrafficOptions traffic;
  traffic.client_count = 4;
  const auto plan = make_plan(requests(100), traffic);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->clients.size(), 4U);
  EXPECT_THAT(counts_of(*plan, &Conversation::client_index, 4), ElementsAre(25, 25, 25, 25));
}

TEST(Traffic, AGreedyClientComesOnTopOfTheOthers) {
  TrafficOptions traffic;
  traffic.client_count = 10;
  traffic.rate_per_s = 5.0;
  const auto fair = make_plan(requests(100), traffic);
  traffic.greedy_factor = 10.0;
  const auto greedy = make_plan(requests(100), traffic);
  ASSERT_TRUE(fair && greedy);
  EXPECT_EQ(fair->conversations.size(), 100U);
  EXPECT_EQ(greedy->conversations.size(), 190U);
  const auto counts = counts_of(*greedy, &Conversation::client_index, 10);
  EXPECT_EQ(counts[0], 100);
  for (size_t i = 1; i < counts.size(); ++i)
    EXPECT_EQ(counts[i], 10);
  // The run is as long: every other client's rate stays.
  EXPECT_NEAR(fair->conversations.back().at_s, 20.0, 1e-9);
  EXPECT_NEAR(greedy->conversations.back().at_s, 20.0, 1e-9);
}

TEST(Traffic, AllComeAtOnceWithoutARate) {
  const auto plan = make_plan(requests(5), {});
  for (const Conversation& conversation : plan->conversations)
    EXPECT_EQ(conversation.at_s, 0.0);
  EXPECT_EQ(plan->request_count(), 5U);
}

TEST(Traffic, AMixDoesNotChangeArrivals) {
  TrafficOptions traffic;
  traffic.rate_per_s = 3.0;
  traffic.seed = 8;
  const auto plain = make_plan(requests(50), traffic);
  traffic.mix = *parse_mix("a,b");
  const auto mixed = make_plan(requests(50), traffic);
  for (size_t i = 0; i < 50; ++i)
    EXPECT_EQ(plain->conversations[i].at_s, mixed->conversations[i].at_s);
}

TEST(Traffic, SaysWhichOptionIsWrong) {
  const auto message = [](TrafficOptions traffic) {
    const auto plan = make_plan(requests(5), traffic);
    return plan ? "" : plan.error().message;
  };
  EXPECT_THAT(message({.rate_per_s = 0.0, .mix = {}}), HasSubstr("request-rate is 0"));
  EXPECT_THAT(message({.rate_per_s = {}, .burstiness = -1.0, .mix = {}}),
              HasSubstr("burstiness is -1"));
  EXPECT_THAT(message({.rate_per_s = {}, .mix = {}, .client_count = -1}),
              HasSubstr("clients is -1"));
  EXPECT_THAT(message({.rate_per_s = {}, .mix = {}, .client_count = 2, .greedy_factor = 0.5}),
              HasSubstr("greedy-client is 0.5"));
  EXPECT_THAT(message({.rate_per_s = {}, .mix = {}, .client_count = 1, .greedy_factor = 2.0}),
              HasSubstr("at least 2 clients"));
}

}  // namespace
}  // namespace inferno::load
