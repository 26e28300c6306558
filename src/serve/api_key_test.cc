#include "serve/api_key.h"

#include <gtest/gtest.h>

#include <vector>

namespace inferno::serve {
namespace {

bool passes(const std::string& authorization, const std::vector<std::string>& keys) {
  net::HttpRequest request;
  request.headers = {{"Authorization", authorization}};
  return has_api_key(request, keys);
}

TEST(ApiKey, WithoutKeysEverybodyPasses) {
  EXPECT_TRUE(passes("", {}));
  EXPECT_TRUE(has_api_key({}, {}));
}

TEST(ApiKey, OneOfTheKeysMustBeGivenWhole) {
  const std::vector<std::string> keys = {"abc", "defg"};
  EXPECT_TRUE(passes("Bearer abc", keys));
  EXPECT_TRUE(passes("bearer  defg", keys));
  for (const char* wrong : {"", "Bearer", "Bearer ", "Bearer ab", "Bearer abcabc", "Bearer abcd",
                            "Basic abc", "abc", "Bearer abc ", "Bearer\tabc"}) {
    EXPECT_FALSE(passes(wrong, keys)) << wrong;
  }
  EXPECT_FALSE(has_api_key({}, keys));
}

TEST(ApiKey, OnlyV1IsGuarded) {
  EXPECT_TRUE(needs_api_key("/v1/models"));
  EXPECT_TRUE(needs_api_key("/v1"));
  EXPECT_FALSE(needs_api_key("/health"));
  EXPECT_FALSE(needs_api_key("/"));
}

}  // namespace
}  // namespace inferno::serve
