#include "schedule/drain_rate.h"

#include <gtest/gtest.h>

namespace inferno::schedule {
namespace {

TEST(DrainRate, IsUnknownAtFirst) {
  EXPECT_EQ(DrainRate().per_s(), 0.0);
}

TEST(DrainRate, IsWorkPerBusySecond) {
  DrainRate rate;
  for (int i = 0; i < 100; ++i)
    rate.add(0.1, 50.0);
  EXPECT_NEAR(rate.per_s(), 500.0, 1e-6);
}

TEST(DrainRate, ForgetsWhatIsLongerAgoThanItsMemory) {
  DrainRate rate;
  for (int i = 0; i < 1000; ++i)
    rate.add(0.1, 50.0);
  for (int i = 0; i < static_cast<int>(5 * DrainRate::kMemoryS / 0.1); ++i)
    rate.add(0.1, 10.0);
  EXPECT_NEAR(rate.per_s(), 100.0, 5.0);
}

TEST(DrainRate, CountsWorkThatIsKnownAfterTheStep) {
  DrainRate rate;
  rate.add(2.0, 0.0);
  rate.add_amount(1.0);
  EXPECT_NEAR(rate.per_s(), 0.5, 1e-9);
}

TEST(DrainRate, IgnoresStepsThatTookNoTime) {
  DrainRate rate;
  rate.add(0.0, 1000.0);
  EXPECT_EQ(rate.per_s(), 0.0);
}

}  // namespace
}  // namespace inferno::schedule
