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

TEST(ServiceClass, NamesReadBackAsWhatTheyName) {
  for (const ServiceClass each :
       {ServiceClass::kInteractive, ServiceClass::kStandard, ServiceClass::kBatch}) {
    EXPECT_EQ(service_class_named(name_of(each)), each);
  }
  EXPECT_EQ(service_class_named("Interactive"), std::nullopt);
  EXPECT_EQ(service_class_named(""), std::nullopt);
}

}  // namespace
}  // namespace inferno::request
