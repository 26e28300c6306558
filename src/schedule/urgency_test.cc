#include "schedule/urgency.h"

#include <gtest/gtest.h>

#include "schedule/test_engine.h"

namespace inferno::schedule {
namespace {

using request::ServiceClass;

std::unique_ptr<Sequence> sequence_with(const SequenceTraits& traits) {
  return make_sequence(1, counting_tokens(0, 100), traits);
}

TEST(FeedbackLevel, FallsAtItsQuanta) {
  EXPECT_EQ(feedback_level(0), 0);
  EXPECT_EQ(feedback_level(kLevelTokens[0] - 1), 0);
  EXPECT_EQ(feedback_level(kLevelTokens[0]), 1);
  EXPECT_EQ(feedback_level(kLevelTokens[1]), 2);
  EXPECT_EQ(feedback_level(1'000'000), kLevelCount - 1);
}

TEST(Tier, PutsPriorityBeforeClassBeforeLevel) {
  const Tier urgent{.priority = -1, .class_rank = 2, .level = 3};
  const Tier interactive{.priority = 0, .class_rank = 0, .level = 3};
  const Tier standard{.priority = 0, .class_rank = 1, .level = 0};
  EXPECT_LT(urgent, interactive);
  EXPECT_LT(interactive, standard);
}

TEST(Tier, OfTheUnclassedFallsWithServiceThatWasNotCached) {
  const auto sequence = sequence_with({});
  sequence->served_tokens = 600;
  EXPECT_EQ(tier_of(*sequence, Policy::kSlo).level, 1);
  sequence->cached_count = 200;
  EXPECT_EQ(tier_of(*sequence, Policy::kSlo).level, 0);
}

TEST(Tier, OfTheClassedDoesNotFall) {
  const auto sequence = sequence_with({.service_class = ServiceClass::kStandard});
  sequence->served_tokens = 100'000;
  EXPECT_EQ(tier_of(*sequence, Policy::kSlo), (Tier{.priority = 0, .class_rank = 1, .level = 0}));
}

TEST(Tier, IsWhatThePolicyLooksAt) {
  const auto sequence = sequence_with({.priority = 5, .service_class = ServiceClass::kBatch});
  EXPECT_EQ(tier_of(*sequence, Policy::kFcfs), Tier{});
  EXPECT_EQ(tier_of(*sequence, Policy::kPriority), (Tier{.priority = 5}));
  EXPECT_EQ(tier_of(*sequence, Policy::kSlo), (Tier{.priority = 5, .class_rank = 2}));
}

TEST(Tier, OfARunningSequenceIsThatOfTheMostUrgentBehindIt) {
  const auto sequence = sequence_with({.service_class = ServiceClass::kBatch});
  sequence->inherited_tier = Tier{.class_rank = 0};
  EXPECT_EQ(running_tier(*sequence, Policy::kSlo).class_rank, 0);
  sequence->inherited_tier = Tier{.priority = 1};
  EXPECT_EQ(running_tier(*sequence, Policy::kSlo).class_rank, 2);
}

TEST(SlackKey, IsTheLatestStartThatKeepsTheTarget) {
  const SchedulerConfig config;
  const auto at = [](double seconds) {
    return after_seconds(kStart, seconds).time_since_epoch().count();
  };
  const auto interactive =
      sequence_with({.service_class = ServiceClass::kInteractive, .arrival = kStart});
  EXPECT_EQ(slack_key(*interactive, config, 0.5), at(2.0 - 0.5));
  const auto batch = sequence_with({.service_class = ServiceClass::kBatch, .arrival = kStart});
  EXPECT_EQ(slack_key(*batch, config, 0.5), at(0.0)) << "without a target: first come";
  const auto unclassed = sequence_with({.arrival = kStart});
  EXPECT_EQ(slack_key(*unclassed, config, 0.5), at(10.0)) << "whatever its length";
  const auto hurried = sequence_with({.service_class = ServiceClass::kInteractive,
                                      .arrival = kStart,
                                      .deadline = after_seconds(kStart, 1.0)});
  EXPECT_EQ(slack_key(*hurried, config, 0.5), at(0.5)) << "the deadline is sooner";
}

TEST(SlackKey, SurvivesPredictionsBeyondAllMeasure) {
  const SchedulerConfig config;
  const auto sequence =
      sequence_with({.service_class = ServiceClass::kStandard, .arrival = kStart});
  EXPECT_LT(slack_key(*sequence, config, 1e300), slack_key(*sequence, config, 1.0));
}

TEST(SlackKey, IsNothingUnderFcfsAndTheArrivalUnderPriority) {
  SchedulerConfig config;
  const auto sequence =
      sequence_with({.service_class = ServiceClass::kInteractive, .arrival = kStart});
  config.policy = Policy::kFcfs;
  EXPECT_EQ(slack_key(*sequence, config, 0.5), 0);
  config.policy = Policy::kPriority;
  EXPECT_EQ(slack_key(*sequence, config, 0.5), kStart.time_since_epoch().count());
}

}  // namespace
}  // namespace inferno::schedule
