#include "base/clock.h"

#include <gtest/gtest.h>

namespace inferno {
namespace {

TEST(ManualClock, StandsStillUntilItIsAdvanced) {
  ManualClock clock;
  const TimePoint start = clock.now();
  EXPECT_EQ(clock.now(), start);
  clock.advance(1.5);
  EXPECT_DOUBLE_EQ(seconds_between(start, clock.now()), 1.5);
}

TEST(ManualClock, NeverReadsZero) {
  EXPECT_GT(ManualClock().now(), TimePoint());
}

TEST(ManualClock, AdvancesToATimeButNeverBack) {
  ManualClock clock;
  const TimePoint later = after_seconds(clock.now(), 0.1234567891);
  clock.advance_to(later);
  EXPECT_EQ(clock.now(), later);
  clock.advance_to(after_seconds(later, -1.0));
  EXPECT_EQ(clock.now(), later);
}

TEST(SystemClock, DoesNotRunBackwards) {
  const SystemClock clock;
  const TimePoint first = clock.now();
  EXPECT_LE(first, clock.now());
}

TEST(AfterSeconds, IsTheInverseOfSecondsBetween) {
  const TimePoint from = ManualClock().now();
  EXPECT_NEAR(seconds_between(from, after_seconds(from, 0.25)), 0.25, 1e-9);
  EXPECT_NEAR(seconds_between(from, after_seconds(from, -0.25)), -0.25, 1e-9);
}

}  // namespace
}  // namespace inferno
