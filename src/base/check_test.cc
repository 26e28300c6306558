#include "base/check.h"

#include <gtest/gtest.h>

namespace inferno {
namespace {

TEST(Check, PassesWithoutEvaluatingItsMessage) {
  int evaluated = 0;
  CHECK(true, "{}", ++evaluated);
  EXPECT_EQ(evaluated, 0);
}

TEST(CheckDeath, StopsWithExpressionPlaceAndValues) {
  const int pages = -3;
  EXPECT_DEATH(CHECK(pages >= 0, "{} pages", pages), "pages >= 0 at .*check_test.cc.*-3 pages");
}

}  // namespace
}  // namespace inferno
