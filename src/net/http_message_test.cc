#include "net/http_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferno::net {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(HttpMessage, DecodesPercentEscapesAndKeepsBrokenOnes) {
  EXPECT_EQ(percent_decoded("a%2Fb%20c"), "a/b c");
  EXPECT_EQ(percent_decoded("%"), "%");
  EXPECT_EQ(percent_decoded("%4"), "%4");
  EXPECT_EQ(percent_decoded("%zz%41"), "%zzA");
}

TEST(HttpMessage, SplitsTargets) {
  const auto split = [](std::string target) {
    HttpRequest request;
    request.target = std::move(target);
    split_target(request);
    return request.path + "|" + request.query;
  };
  EXPECT_EQ(split("/a/b?x=1?y"), "/a/b|x=1?y");
  EXPECT_EQ(split("http://host:80/a?b"), "/a|b");
  EXPECT_EQ(split("http://host"), "/|");
  EXPECT_EQ(split("/a?u=http://x"), "/a|u=http://x");
  EXPECT_EQ(split("*"), "*|");
}

TEST(HttpMessage, HeaderNamesIgnoreCase) {
  HttpRequest request;
  request.headers = {{"X-Request-ID", "7"}, {"x-request-id", "8"}};
  EXPECT_EQ(request.header("x-request-id"), "7");
  EXPECT_EQ(request.header("x-request"), std::nullopt);
}

TEST(HttpMessage, AHeaderValueCannotStartAnotherHeader) {
  const std::string head = response_head(200, {{"X-Id", "a\r\nSet-Cookie: b"}});
  EXPECT_THAT(head, HasSubstr("X-Id: a  Set-Cookie: b\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("\nSet-Cookie")));
  EXPECT_THAT(head, HasSubstr("HTTP/1.1 200 OK\r\n"));
}

TEST(HttpMessage, AnEmptyChunkIsNotWritten) {
  std::string out;
  append_chunk(out, "");
  EXPECT_EQ(out, "");
  append_chunk(out, "0123456789abcdef!");
  EXPECT_EQ(out, "11\r\n0123456789abcdef!\r\n");
}

}  // namespace
}  // namespace inferno::net
