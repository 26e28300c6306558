#include "base/result.h"

#include <gtest/gtest.h>

#include <set>

namespace inferno {
namespace {

Result<int> half_of(int value) {
  if (value % 2 != 0) return fail(Fault::kInvalid, "{} is odd", value);
  return value / 2;
}

TEST(Result, CarriesAValueOrAnErrorWithItsNumbers) {
  EXPECT_EQ(half_of(8), 4);
  ASSERT_FALSE(half_of(7));
  EXPECT_EQ(half_of(7).error().fault, Fault::kInvalid);
  EXPECT_EQ(half_of(7).error().message, "7 is odd");
}

TEST(Result, FieldErrorsNameTheField) {
  const Result<int> result = fail_field("top_p", "top_p is {}, limit {}", 2, 1);
  EXPECT_EQ(result.error().param, "top_p");
  EXPECT_EQ(result.error().fault, Fault::kInvalid);
}

TEST(Result, EveryFaultHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int fault = 0; fault <= static_cast<int>(Fault::kInternal); ++fault) {
    names.insert(name_of(static_cast<Fault>(fault)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(Fault::kInternal) + 1);
}

}  // namespace
}  // namespace inferno
