#include "serve/account.h"

#include <gtest/gtest.h>

namespace inferno::serve {
namespace {

net::HttpRequest with_key(const std::string& authorization) {
  net::HttpRequest request;
  request.headers.push_back({"Authorization", authorization});
  return request;
}

TEST(Account, IsEmptyForARequestThatNamesNobody) {
  EXPECT_EQ(account_of({}), "");
  EXPECT_EQ(account_of(with_key("Basic abc")), "");
}

TEST(Account, DiffersByKeyAndByUser) {
  const std::string one = account_of(with_key("Bearer one"));
  EXPECT_EQ(one, account_of(with_key("bearer   one")));
  EXPECT_NE(one, account_of(with_key("Bearer two")));
  EXPECT_NE(one, account_of(with_key("Bearer one"), "ann"));
  EXPECT_NE(account_of({}, "ann"), account_of({}, "bob"));
  EXPECT_NE(account_of({}, "one"), one);
}

TEST(Account, DoesNotShowTheKey) {
  EXPECT_EQ(account_of(with_key("Bearer secret"), "ann").find("secret"), std::string::npos);
  EXPECT_EQ(account_of(with_key("Bearer secret"), "ann").size(), 32u);
}

}  // namespace
}  // namespace inferno::serve
