#include "serve/share_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace inferno::serve {
namespace {

namespace json = boost::json;

net::HttpRequest chat(std::string body, net::HttpHeaders headers = {}) {
  net::HttpRequest request;
  request.method = "POST";
  request.path = "/v1/chat/completions";
  request.body = std::move(body);
  request.headers = std::move(headers);
  return request;
}

ShareKey key_of(const net::HttpRequest& request) {
  const auto key = share_key_of(request, ShareScope::kIdentical);
  EXPECT_TRUE(key && *key) << request.body;
  return key && *key ? **key : ShareKey{};
}

bool is_shared(const net::HttpRequest& request) {
  const auto key = share_key_of(request, ShareScope::kIdentical);
  return key && *key;
}

constexpr const char* kGreedy = R"({"temperature": 0, "prompt": "p"})";

TEST(ShareKey, ANamedKeyBelongsToOneAccount) {
  const ShareKey one = key_of(chat("{}", {{"Idempotency-Key", "k"}}));
  const ShareKey other =
      key_of(chat("{}", {{"idempotency-key", "k"}, {"Authorization", "Bearer a"}}));
  EXPECT_EQ(one.reason, ShareReason::kIdempotencyKey);
  EXPECT_EQ(one.name, "k");
  EXPECT_NE(one.slot, other.slot);
  EXPECT_EQ(one.content, other.content);
}

TEST(ShareKey, ANamedKeyTellsPathsAndBodiesApart) {
  const ShareKey one = key_of(chat("{}", {{"Idempotency-Key", "k"}}));
  net::HttpRequest elsewhere = chat("{}", {{"Idempotency-Key", "k"}});
  elsewhere.path = "/v1/completions";
  EXPECT_EQ(key_of(elsewhere).slot, one.slot);
  EXPECT_NE(key_of(elsewhere).content, one.content);
  EXPECT_NE(key_of(chat("{ }", {{"Idempotency-Key", "k"}})).content, one.content);
}

TEST(ShareKey, AMalformedKeyIsRefused) {
  for (const std::string& key : {std::string(), std::string(257, 'k'), std::string("a\x7f"),
                                 std::string("\xC3\xA9"), std::string("a\tb")}) {
    const auto refused = share_key_of(chat("{}", {{"Idempotency-Key", key}}), ShareScope::kNamed);
    ASSERT_FALSE(refused) << key;
    EXPECT_EQ(refused.error().fault, Fault::kInvalid);
    EXPECT_EQ(refused.error().param, "Idempotency-Key");
    EXPECT_THAT(refused.error().message, ::testing::HasSubstr("256"));
  }
  EXPECT_TRUE(
      share_key_of(chat("{}", {{"Idempotency-Key", std::string(256, 'k')}}), ShareScope::kNamed));
}

TEST(ShareKey, OnlyPostedCompletionsAndChatsHaveOne) {
  net::HttpRequest request = chat(kGreedy, {{"Idempotency-Key", "k"}});
  request.path = "/tokenize";
  EXPECT_FALSE(is_shared(request));
  request = chat(kGreedy, {{"Idempotency-Key", "k"}});
  request.method = "GET";
  EXPECT_FALSE(is_shared(request));
}

TEST(ShareKey, IdenticalRequestsAreSharedOnlyWhenWished) {
  EXPECT_TRUE(is_shared(chat(kGreedy)));
  const auto key = share_key_of(chat(kGreedy), ShareScope::kNamed);
  ASSERT_TRUE(key);
  EXPECT_FALSE(*key);
}

TEST(ShareKey, IdenticalRequestsMustBeDeterministic) {
  for (const char* body :
       {R"({"prompt": "p"})", R"({"temperature": 0.5})", R"({"temperature": "0"})",
        R"({"temperature": 1, "seed": -1})", R"({"seed": null})", "[]", "{"}) {
    EXPECT_FALSE(is_shared(chat(body))) << body;
  }
  for (const char* body : {R"({"temperature": 0})", R"({"temperature": 0.0, "seed": -1})",
                           R"({"temperature": 1, "seed": 7})", R"({"seed": 0})"}) {
    EXPECT_TRUE(is_shared(chat(body))) << body;
  }
}

TEST(ShareKey, ATimeLimitIsNotShared) {
  EXPECT_FALSE(is_shared(chat(R"({"temperature": 0, "timeout_s": 5})")));
  EXPECT_FALSE(is_shared(chat(kGreedy, {{"X-Request-Timeout-S", "5"}})));
}

TEST(ShareKey, TheOrderOfFieldsAndBlanksDoNotMatter) {
  const ShareKey one = key_of(chat(R"({"temperature":0,"a":{"x":1,"y":[1,2]}})"));
  const ShareKey same = key_of(chat(R"({ "a": {"y": [1, 2], "x": 1}, "temperature": 0 })"));
  const ShareKey other = key_of(chat(R"({"temperature":0,"a":{"x":1,"y":[2,1]}})"));
  EXPECT_EQ(one.slot, same.slot);
  EXPECT_NE(one.slot, other.slot);
}

TEST(ShareKey, WhatAClientCanSeeTellsRequestsApart) {
  const ShareKey one = key_of(chat(kGreedy));
  for (const net::HttpHeader& header :
       {net::HttpHeader{"X-Request-Id", "r"}, net::HttpHeader{"X-Service-Class", "batch"},
        net::HttpHeader{"X-Vllm-Priority", "1"}, net::HttpHeader{"Authorization", "Bearer a"}}) {
    EXPECT_NE(key_of(chat(kGreedy, {header})).slot, one.slot) << header.name;
  }
  net::HttpRequest elsewhere = chat(kGreedy);
  elsewhere.path = "/v1/completions";
  EXPECT_NE(key_of(elsewhere).slot, one.slot);
  EXPECT_EQ(key_of(chat(kGreedy, {{"User-Agent", "x"}})).slot, one.slot);
}

TEST(ShareKey, ALongBodyIsNotCompared) {
  const std::string text(kMaxIdenticalBodyBytes, 'x');
  EXPECT_FALSE(is_shared(chat(R"({"temperature": 0, "prompt": ")" + text + "\"}")));
}

TEST(ShareKey, CanonicalJsonSortsKeysAtEveryDepth) {
  EXPECT_EQ(canonical_json(json::parse(R"( {"b": [{"z": null, "a": "\u00e9\n"}], "a": {}} )")),
            "{\"a\":{},\"b\":[{\"a\":\"\xC3\xA9\\n\",\"z\":null}]}");
  EXPECT_EQ(canonical_json(json::parse("[[], [1, 2.5], true]")), "[[],[1,2.5E0],true]");
}

}  // namespace
}  // namespace inferno::serve
