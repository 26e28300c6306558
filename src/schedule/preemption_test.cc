#include "schedule/preemption.h"

#include <gtest/gtest.h>

#include "schedule/test_engine.h"

namespace inferno::schedule {
namespace {

using request::ServiceClass;

// Running sequences in the order in which they were admitted.
class Running {
 public:
  Sequence& add(const SequenceTraits& traits, int served = 0) {
    const uint64_t id = owned_.size() + 1;
    owned_.push_back(make_sequence(id, counting_tokens(0, 20), traits));
    Sequence& sequence = *owned_.back();
    sequence.order = id;
    sequence.admission_order = id;
    sequence.state = SequenceState::kRunning;
    sequence.served_tokens = served;
    all.push_back(&sequence);
    return sequence;
  }
  std::vector<Sequence*> all;

 private:
  std::vector<std::unique_ptr<Sequence>> owned_;
};

std::unique_ptr<Sequence> waiting_with(const SequenceTraits& traits, uint64_t order = 100) {
  auto sequence = make_sequence(1000, counting_tokens(0, 20), traits);
  sequence->order = order;
  return sequence;
}

TEST(MemoryVictim, IsTheLastAdmittedUnderFcfs) {
  Running running;
  running.add({.priority = 9});
  Sequence& last = running.add({.priority = -9});
  EXPECT_EQ(memory_victim(running.all, Policy::kFcfs), &last);
}

TEST(MemoryVictim, HasTheHighestPriorityThenTheLatestArrivalUnderPriority) {
  Running running;
  running.add({.priority = 2, .arrival = kStart});
  Sequence& victim = running.add({.priority = 2, .arrival = after_seconds(kStart, 2)});
  running.add({.priority = 2, .arrival = after_seconds(kStart, 1)});
  running.add({.priority = 1, .arrival = after_seconds(kStart, 9)});
  EXPECT_EQ(memory_victim(running.all, Policy::kPriority), &victim);
}

TEST(MemoryVictim, IsTheLeastImportantThenTheLastAdmittedUnderSlo) {
  Running running;
  running.add({.service_class = ServiceClass::kBatch});
  Sequence& victim = running.add({.service_class = ServiceClass::kBatch});
  running.add({.service_class = ServiceClass::kInteractive});
  EXPECT_EQ(memory_victim(running.all, Policy::kSlo), &victim);
}

TEST(MemoryVictim, IsAPromotedOneOnlyWhenThereIsNoOther) {
  Running running;
  Sequence& oldest = running.add({.service_class = ServiceClass::kBatch});
  Sequence& younger = running.add({.service_class = ServiceClass::kBatch});
  Sequence& interactive = running.add({.service_class = ServiceClass::kInteractive});
  oldest.promoted = younger.promoted = true;
  oldest.aged_at = kStart;
  younger.aged_at = after_seconds(kStart, 1);
  EXPECT_EQ(memory_victim(running.all, Policy::kSlo), &interactive);
  interactive.state = SequenceState::kWaiting;
  EXPECT_EQ(memory_victim(running.all, Policy::kSlo), &younger);
}

TEST(WhoGivesWay, ForSlackIsOfAWorseClassOrPriority) {
  Running running;
  running.add({.service_class = ServiceClass::kInteractive});
  const auto waiting = waiting_with({.service_class = ServiceClass::kInteractive});
  EXPECT_EQ(who_gives_way(running.all, *waiting, PreemptionCause::kSlack), nullptr);
  Sequence& standard = running.add({.service_class = ServiceClass::kStandard});
  EXPECT_EQ(who_gives_way(running.all, *waiting, PreemptionCause::kSlack), &standard);
  standard.promoted = true;
  EXPECT_EQ(who_gives_way(running.all, *waiting, PreemptionCause::kSlack), nullptr);
  Sequence& late = running.add({.priority = 1, .service_class = ServiceClass::kInteractive});
  EXPECT_EQ(who_gives_way(running.all, *waiting, PreemptionCause::kSlack), &late);
}

TEST(WhoGivesWay, ForAFreshUnclassedOneIsALongRunningUnclassedOne) {
  Running running;
  running.add({.service_class = ServiceClass::kStandard}, 100'000);
  Sequence& level_one = running.add({}, kLevelTokens[0]);
  Sequence& level_two = running.add({}, kLevelTokens[1]);
  const auto fresh = waiting_with({});
  EXPECT_EQ(who_gives_way(running.all, *fresh, PreemptionCause::kFeedback), &level_two);
  level_two.served_at_admission = kLevelTokens[1] - 10;
  EXPECT_EQ(who_gives_way(running.all, *fresh, PreemptionCause::kFeedback), nullptr)
      << "it has only just got its place";
  level_two.served_at_admission = 0;
  const auto classed = waiting_with({.service_class = ServiceClass::kStandard});
  EXPECT_EQ(who_gives_way(running.all, *classed, PreemptionCause::kFeedback), nullptr);
  EXPECT_EQ(tier_of(level_one, Policy::kSlo).level, 1);
}

TEST(WhoGivesWay, ToTheAgedAreThoseWhoOvertookIt) {
  Running running;
  running.add({.service_class = ServiceClass::kBatch});                    // came first
  Sequence& later = running.add({.service_class = ServiceClass::kBatch});  // overtook
  running.add({.service_class = ServiceClass::kInteractive});              // more urgent
  const auto aged = waiting_with({.service_class = ServiceClass::kBatch}, 1);
  EXPECT_EQ(who_gives_way(running.all, *aged, PreemptionCause::kLane), &later);
}

TEST(IsInDanger, BeginsWhenHalfTheTimeIsUsedUp) {
  const SchedulerConfig config;
  const auto waiting =
      waiting_with({.service_class = ServiceClass::kInteractive, .arrival = kStart});
  waiting->slack_key = slack_key(*waiting, config, 0.0);
  EXPECT_FALSE(is_in_danger(*waiting, config, after_seconds(kStart, 0.9)));
  EXPECT_TRUE(is_in_danger(*waiting, config, after_seconds(kStart, 1.1)));
  const auto batch = waiting_with({.service_class = ServiceClass::kBatch, .arrival = kStart});
  EXPECT_FALSE(is_in_danger(*batch, config, after_seconds(kStart, 1e6)));
}

}  // namespace
}  // namespace inferno::schedule
