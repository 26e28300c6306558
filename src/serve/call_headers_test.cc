#include "serve/call_headers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferno::serve {
namespace {

using request::ServiceClass;
using ::testing::HasSubstr;

Result<Call> with(const std::string& name, const std::string& value, Call call = {}) {
  net::HttpRequest request;
  request.headers.push_back({name, value});
  if (auto taken = read_call_headers(request, call); !taken) return std::unexpected(taken.error());
  return call;
}

TEST(CallHeaders, WinOverTheBody) {
  Call body;
  body.priority = 1;
  body.service_class = ServiceClass::kInteractive;
  body.timeout_s = 5.0;
  EXPECT_EQ(with("x-vllm-priority", "-7", body)->priority, -7);
  EXPECT_EQ(with("X-Service-Class", "batch", body)->service_class, ServiceClass::kBatch);
  EXPECT_EQ(with("X-Request-Timeout-S", "0.25", body)->timeout_s, 0.25);
  const Result<Call> untouched = with("X-Other", "1", body);
  EXPECT_EQ(untouched->priority, 1);
  EXPECT_EQ(untouched->service_class, ServiceClass::kInteractive);
  EXPECT_EQ(untouched->timeout_s, 5.0);
}

TEST(CallHeaders, AreRefusedByNameValueAndLimit) {
  struct Case {
    const char* name;
    const char* value;
    const char* param;
    const char* must;
  };
  for (const Case& each : {
           Case{"X-Vllm-Priority", "high", "priority", "32-bit integer"},
           Case{"X-Vllm-Priority", "9999999999", "priority", "32-bit integer"},
           Case{"X-Service-Class", "urgent", "service_class", "\"interactive\", \"standard\""},
           Case{"X-Service-Class", "Batch", "service_class", "\"batch\""},
           Case{"X-Request-Timeout-S", "0", "timeout_s", "above 0"},
           Case{"X-Request-Timeout-S", "-1", "timeout_s", "above 0"},
           Case{"X-Request-Timeout-S", "nan", "timeout_s", "above 0"},
           Case{"X-Request-Timeout-S", "86401", "timeout_s", "at most 86400"},
           Case{"X-Request-Timeout-S", "5s", "timeout_s", "at most 86400"},
       }) {
    const Result<Call> refused = with(each.name, each.value);
    ASSERT_FALSE(refused) << each.value;
    EXPECT_EQ(refused.error().fault, Fault::kInvalid);
    EXPECT_EQ(refused.error().param, each.param);
    EXPECT_THAT(refused.error().message, HasSubstr(each.name));
    EXPECT_THAT(refused.error().message, HasSubstr("\"" + std::string(each.value) + "\""));
    EXPECT_THAT(refused.error().message, HasSubstr(each.must));
  }
}

TEST(CallHeaders, AnUnreadableValueIsShownAsAscii) {
  const Result<Call> refused = with("X-Service-Class", "\xff\x01quote\"");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("\"?\\u0001quote\\\"\""));
}

}  // namespace
}  // namespace inferno::serve
