#include "net/body_budget.h"

#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

namespace inferno::net {
namespace {

TEST(BodyBudget, RefusesWhatDoesNotFitAndKeepsWhatItHas) {
  auto budget = std::make_shared<BodyBudget>(100);
  BodyClaim first(budget);
  EXPECT_TRUE(first.grow(60));
  {
    BodyClaim second(budget);
    EXPECT_TRUE(second.grow(40));
    EXPECT_FALSE(second.grow(1));
    EXPECT_FALSE(second.grow(std::numeric_limits<size_t>::max()));
    EXPECT_EQ(second.bytes(), 40u);
    EXPECT_EQ(budget->held_bytes(), 100u);
    EXPECT_TRUE(budget->has_room(0));
    EXPECT_FALSE(budget->has_room(1));
  }
  EXPECT_EQ(budget->held_bytes(), 60u);
  EXPECT_TRUE(budget->has_room(40));
  EXPECT_FALSE(budget->has_room(41));
  EXPECT_FALSE(budget->has_room(std::numeric_limits<size_t>::max()));
}

TEST(BodyBudget, AClaimOutlivesWhoeverMadeTheBudget) {
  auto budget = std::make_shared<BodyBudget>(10);
  BodyClaim claim(budget);
  std::weak_ptr<BodyBudget> watch = budget;
  budget.reset();
  EXPECT_TRUE(claim.grow(10));
  EXPECT_EQ(watch.lock()->held_bytes(), 10u);
}

TEST(BodyBudget, NeverHoldsMoreThanItsLimitWhateverManyThreadsTake) {
  constexpr size_t kLimit = 1000;
  auto budget = std::make_shared<BodyBudget>(kLimit);
  std::atomic<bool> exceeded{false};
  {
    std::vector<std::jthread> threads;
    for (size_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int round = 0; round < 2000; ++round) {
          BodyClaim claim(budget);
          for (size_t piece = 0; piece < 5; ++piece) {
            static_cast<void>(claim.grow(90 + 7 * t));
            if (budget->held_bytes() > kLimit) exceeded = true;
          }
        }
      });
    }
  }
  EXPECT_FALSE(exceeded);
  EXPECT_EQ(budget->held_bytes(), 0u);
}

}  // namespace
}  // namespace inferno::net
