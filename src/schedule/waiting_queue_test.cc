#include "schedule/waiting_queue.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <tuple>

#include "schedule/test_engine.h"

namespace inferno::schedule {
namespace {

using request::ServiceClass;

SchedulerConfig config_of(Policy policy) {
  SchedulerConfig config;
  config.policy = policy;
  config.fairness_quantum_tokens = 100;
  return config;
}

// A queue with its clients and sequences, which get orders and slack as they are told.
class Fixture {
 public:
  explicit Fixture(Policy policy = Policy::kSlo) : config_(config_of(policy)), queue(config_) {}

  Sequence& add(const SequenceTraits& traits, int64_t slack = 0) {
    const uint64_t id = sequences_.size() + 1;
    sequences_.push_back(make_sequence(id, counting_tokens(0, 10), traits));
    Sequence& sequence = *sequences_.back();
    sequence.order = id;
    sequence.slack_key = slack;
    sequence.client = &clients_.join(traits.client);
    sequence.aged_at = after_seconds(start, static_cast<double>(id));
    queue.reserve(static_cast<int>(id));
    queue.push(sequence);
    return sequence;
  }

  const TimePoint start = ManualClock().now();

 private:
  SchedulerConfig config_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  ClientTable clients_{100};

 public:
  WaitingQueue queue;
};

TEST(WaitingQueue, ServesTheBetterTierFirst) {
  Fixture world;
  world.add({.service_class = ServiceClass::kBatch}, 0);
  world.add({.service_class = ServiceClass::kStandard}, 1);
  Sequence& interactive = world.add({.service_class = ServiceClass::kInteractive}, 2);
  Sequence& important = world.add({.priority = -1, .service_class = ServiceClass::kBatch}, 3);
  EXPECT_EQ(world.queue.front(), &important);
  world.queue.remove(important);
  EXPECT_EQ(world.queue.front(), &interactive);
}

TEST(WaitingQueue, ServesTheLeastSlackFirstWithinABucket) {
  Fixture world;
  world.add({.client = 1}, 50);
  Sequence& hurried = world.add({.client = 2}, 10);
  EXPECT_EQ(world.queue.front(), &hurried);
}

TEST(WaitingQueue, ServesTheClientWithFewestTokensFirst) {
  Fixture world;
  Sequence& greedy = world.add({.client = 1}, 10);
  Sequence& modest = world.add({.client = 2}, 50);
  EXPECT_EQ(world.queue.front(), &greedy);
  world.queue.charge(*greedy.client, 99);
  EXPECT_EQ(world.queue.front(), &greedy) << "still in the same bucket";
  world.queue.charge(*greedy.client, 1);
  EXPECT_EQ(world.queue.front(), &modest);
  EXPECT_EQ(world.queue.counter_spread(), 100);
  world.queue.charge(*modest.client, 250);
  EXPECT_EQ(world.queue.front(), &greedy);
}

TEST(WaitingQueue, LiftsAClientThatBeginsToWait) {
  Fixture world;
  Sequence& present = world.add({.client = 1});
  world.queue.charge(*present.client, 1000);
  Sequence& newcomer = world.add({.client = 2});
  EXPECT_EQ(newcomer.client->virtual_tokens, 1000);
  world.queue.remove(present);
  world.queue.charge(*newcomer.client, 500);
  world.queue.remove(newcomer);
  Sequence& later = world.add({.client = 3});
  EXPECT_EQ(later.client->virtual_tokens, 1500) << "nobody waits: where the last one left";
}

TEST(WaitingQueue, KeepsTheCounterOfAClientAboveTheOthers) {
  Fixture world;
  Sequence& first = world.add({.client = 1});
  world.queue.charge(*first.client, 1000);
  world.queue.remove(first);
  Sequence& other = world.add({.client = 2});
  EXPECT_EQ(other.client->virtual_tokens, 1000);
  world.queue.charge(*first.client, 700);
  Sequence& again = world.add({.client = 1});
  EXPECT_EQ(again.client->virtual_tokens, 1700);
}

TEST(WaitingQueue, ShowsTheLongestOvertakenOnceItIsAged) {
  Fixture world;
  Sequence& first = world.add({.service_class = ServiceClass::kBatch});
  world.add({.service_class = ServiceClass::kInteractive});
  EXPECT_EQ(world.queue.aged_front(world.start), nullptr);
  EXPECT_EQ(world.queue.aged_front(after_seconds(world.start, 1.5)), &first);
  world.queue.remove(first);
  EXPECT_EQ(world.queue.aged_front(after_seconds(world.start, 1.5)), nullptr);
}

TEST(WaitingQueue, IsFirstComeUnderFcfs) {
  Fixture world(Policy::kFcfs);
  Sequence& first = world.add({.priority = 9, .service_class = ServiceClass::kBatch});
  world.add({.priority = 0, .service_class = ServiceClass::kInteractive});
  world.queue.charge(*first.client, 100'000);
  EXPECT_EQ(world.queue.front(), &first);
}

TEST(WaitingQueue, GoesByPriorityThenArrivalUnderPriority) {
  Fixture world(Policy::kPriority);
  world.add({.priority = 1, .service_class = ServiceClass::kInteractive}, 10);
  world.add({.priority = 0, .service_class = ServiceClass::kBatch}, 30);
  Sequence& next = world.add({.priority = 0, .service_class = ServiceClass::kBatch}, 20);
  world.queue.charge(*next.client, 100'000);
  EXPECT_EQ(world.queue.front(), &next);
}

TEST(WaitingQueue, CountsByClass) {
  Fixture world;
  Sequence& batch = world.add({.service_class = ServiceClass::kBatch});
  world.add({});
  EXPECT_EQ(world.queue.size(), 2);
  EXPECT_EQ(world.queue.size_of(ServiceClass::kBatch), 1);
  EXPECT_EQ(world.queue.pending_tokens_of(ServiceClass::kStandard), 10);
  world.queue.remove(batch);
  EXPECT_EQ(world.queue.size_of(ServiceClass::kBatch), 0);
  EXPECT_EQ(world.queue.pending_tokens_of(ServiceClass::kBatch), 0);
}

// The naive model sorts all that wait whenever it is asked.
TEST(WaitingQueue, AgreesWithSortingUnderRandomOperations) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const auto policy = static_cast<Policy>(seed % 3);
    Fixture world(policy);
    std::set<Sequence*> waiting;
    for (int op = 0; op < 600; ++op) {
      const uint64_t choice = random() % 4;
      if (choice <= 1 || waiting.empty()) {
        SequenceTraits traits{.priority = static_cast<int>(random() % 3), .client = random() % 6};
        if (random() % 2) traits.service_class = static_cast<ServiceClass>(random() % 3);
        const auto slack = static_cast<int64_t>(random() % 20);
        waiting.insert(&world.add(traits, policy == Policy::kFcfs ? 0 : slack));
      } else {
        auto any = std::next(waiting.begin(), static_cast<ptrdiff_t>(random() % waiting.size()));
        if (choice == 2) {
          world.queue.charge(*(*any)->client, static_cast<int64_t>(random() % 150));
        } else {
          Sequence* const leaving = random() % 2 ? world.queue.front() : *any;
          world.queue.remove(*leaving);
          waiting.erase(leaving);
        }
      }
      const auto key = [&](const Sequence* s) {
        const int64_t bucket = policy == Policy::kSlo ? s->client->virtual_tokens / 100 : 0;
        return std::tuple(tier_of(*s, policy), bucket, s->slack_key, s->order);
      };
      const auto best = std::ranges::min_element(waiting, {}, key);
      ASSERT_EQ(world.queue.front(), best == waiting.end() ? nullptr : *best) << "operation " << op;
      ASSERT_EQ(world.queue.size(), static_cast<int>(waiting.size()));
    }
  }
}

}  // namespace
}  // namespace inferno::schedule
