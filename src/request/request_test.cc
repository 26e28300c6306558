#include "request/request.h"

#include <gtest/gtest.h>

namespace inferno::request {
namespace {

TEST(FinishReason, IsSpelledAsOnTheWire) {
  EXPECT_EQ(name_of(FinishReason::kStop), "stop");
  EXPECT_EQ(name_of(FinishReason::kLength), "length");
  EXPECT_EQ(name_of(FinishReason::kAbort), "abort");
  EXPECT_EQ(name_of(FinishReason::kError), "error");
}

}  // namespace
}  // namespace inferno::request
