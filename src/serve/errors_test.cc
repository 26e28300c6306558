#include "serve/errors.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>

#include "net/recording_responder.h"

namespace inferno::serve {
namespace {

namespace json = boost::json;

TEST(Errors, EveryFaultHasItsStatus) {
  EXPECT_EQ(http_status_of(Fault::kInvalid), 400);
  EXPECT_EQ(http_status_of(Fault::kTooLong), 400);
  EXPECT_EQ(http_status_of(Fault::kNotFound), 404);
  EXPECT_EQ(http_status_of(Fault::kOverloaded), 429);
  EXPECT_EQ(http_status_of(Fault::kCancelled), 499);
  EXPECT_EQ(http_status_of(Fault::kDeadline), 504);
  EXPECT_EQ(http_status_of(Fault::kPeerGone), 502);
  EXPECT_EQ(http_status_of(Fault::kCorrupt), 500);
  EXPECT_EQ(http_status_of(Fault::kInternal), 500);
}

TEST(Errors, TheBodyIsOpenAis) {
  const json::object body = error_object(400, {Fault::kInvalid, "n is 0", "n"});
  EXPECT_EQ(json::serialize(body),
            R"({"error":{"message":"n is 0","type":"BadRequestError","param":"n","code":400}})");
  EXPECT_TRUE(error_object(500, {Fault::kInternal, "x", ""}).at("error").at("param").is_null());
}

TEST(Errors, OverloadTellsWhenToComeBack) {
  net::RecordingResponder full;
  send_error(full, {Fault::kOverloaded, "full", ""});
  EXPECT_EQ(full.status, 429);
  EXPECT_EQ(full.header("Retry-After"), "1");
  net::RecordingResponder known;
  send_error(known, {Fault::kOverloaded, "full", "", 6.1});
  EXPECT_EQ(known.header("Retry-After"), "7");
  net::RecordingResponder wrong;
  send_error(wrong, {Fault::kInvalid, "wrong", ""});
  EXPECT_EQ(wrong.header("Retry-After"), "");
  EXPECT_EQ(wrong.header("Content-Type"), "application/json");
}

TEST(Errors, RetryAfterIsWholeSecondsFromOneToAnHour) {
  const auto seconds = [](std::optional<double> known) {
    return retry_after_seconds({Fault::kOverloaded, "full", "", known});
  };
  EXPECT_EQ(seconds(std::nullopt), 1);
  EXPECT_EQ(seconds(0.0), 1);
  EXPECT_EQ(seconds(-5.0), 1);
  EXPECT_EQ(seconds(std::nan("")), 1);
  EXPECT_EQ(seconds(1.01), 2);
  EXPECT_EQ(seconds(3599.5), 3600);
  EXPECT_EQ(seconds(1e300), 3600);
}

TEST(Errors, AnErrorEventIsRecognizedByItsFirstBytes) {
  std::string event;
  append_error_event(event, {Fault::kDeadline, "too late", ""});
  EXPECT_TRUE(is_error_event(event));
  EXPECT_TRUE(event.ends_with("\"code\":504}}\n\n"));
  EXPECT_FALSE(is_error_event("data: {\"id\":\"error\"}\n\n"));
  EXPECT_FALSE(is_error_event("data: [DONE]\n\n"));
}

}  // namespace
}  // namespace inferno::serve
