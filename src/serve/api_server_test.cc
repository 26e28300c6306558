#include "serve/api_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "serve/api_fixture.h"
#include "serve/page.h"

namespace inferno::serve {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using ApiServerRoutes = ApiServerTest;

TEST_F(ApiServerRoutes, HealthFollowsTheGenerator) {
  start();
  for (const char* path : {"/health", "/v1/health", "/ping"})
    EXPECT_EQ(get(path).status, 200);
  EXPECT_EQ(post("/ping", "").status, 200);
  generator_.is_healthy = false;
  for (const char* path : {"/health", "/v1/health", "/ping"})
    EXPECT_EQ(get(path).status, 503);
}

TEST_F(ApiServerRoutes, TellsVersionMetricsAndPage) {
  start();
  EXPECT_EQ(json::parse(get("/version").body).at("version"), INFERNO_VERSION);
  metrics_.gauge({"vllm:num_requests_running", "Running.", {{"model_name", "first"}}}).set(3);
  const net::TestResponse metrics = get("/metrics");
  EXPECT_THAT(metrics.head, HasSubstr("text/plain; version=0.0.4"));
  EXPECT_THAT(metrics.body, HasSubstr("vllm:num_requests_running{model_name=\"first\"} 3.0\n"));
  for (const PageFile& file : page_files()) {
    const net::TestResponse page = get(file.path);
    EXPECT_EQ(page.body, file.content);
    EXPECT_THAT(page.head, HasSubstr("Content-Type: " + std::string(file.content_type)));
    EXPECT_THAT(page.head, HasSubstr("Content-Security-Policy: "));
  }
}

TEST_F(ApiServerRoutes, UnknownPathsAre404AndWrongMethods405) {
  start();
  EXPECT_EQ(get("/nowhere").status, 404);
  EXPECT_EQ(post("/v1/embeddings", "{}").status, 404);
  EXPECT_THAT(get("/v1/completions").head, HasSubstr("Allow: POST"));
  EXPECT_EQ(get("/v1/completions").status, 405);
  EXPECT_EQ(post("/v1/models", "").status, 405);
  net::TestClient client(server_->port());
  client.request("DELETE", "/v1/models");
  EXPECT_EQ(client.read().status, 405);
  client.send("HEAD /health HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(client.read(true).status, 200);
}

TEST_F(ApiServerRoutes, KeysGuardV1Only) {
  options_.api_keys = {"sekret", "other"};
  start();
  EXPECT_EQ(get("/v1/models").status, 401);
  EXPECT_EQ(get("/v1/models").body, R"({"error":"Unauthorized"})");
  EXPECT_EQ(get("/v1/models", "Authorization: Bearer sekre\r\n").status, 401);
  EXPECT_EQ(get("/v1/models", "Authorization: Bearer sekretsekret\r\n").status, 401);
  EXPECT_EQ(get("/v1/models", "Authorization: Basic sekret\r\n").status, 401);
  EXPECT_EQ(get("/v1/models", "Authorization: Bearer \r\n").status, 401);
  EXPECT_EQ(get("/v1/models", "Authorization: Bearer other\r\n").status, 200);
  EXPECT_EQ(get("/v1/models", "authorization: bearer sekret\r\n").status, 200);
  EXPECT_EQ(post("/v1/completions", "{}").status, 401);
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_EQ(get("/metrics").status, 200);
  EXPECT_EQ(get("/").status, 200);
}

// A client that announces a body and sends none gets its answer all the same.
TEST_F(ApiServerRoutes, WhatTheHeaderTellsIsAnsweredBeforeTheBodyComes) {
  options_.api_keys = {"sekret"};
  start();
  const auto status_of = [this](std::string_view request_line, std::string_view headers) {
    net::TestClient client(server_->port());
    client.send(fmt::format("{} HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n{}\r\n{{",
                            request_line, headers));
    const net::TestResponse response = client.read();
    EXPECT_TRUE(client.is_closed_by_peer()) << request_line;
    return response.status;
  };
  const std::string key = "Authorization: Bearer sekret\r\n";
  EXPECT_EQ(status_of("POST /v1/completions", ""), 401);
  EXPECT_EQ(status_of("POST /v1/completions", "Authorization: Bearer wrong\r\n"), 401);
  EXPECT_EQ(status_of("POST /v1/embeddings", key), 404);
  EXPECT_EQ(status_of("POST /v1/models", key), 405);
  EXPECT_EQ(status_of("POST /v1/models/load", key), 403);
  EXPECT_EQ(status_of("PUT /tokenize", ""), 405);
}

TEST_F(ApiServerRoutes, ErrorsBelowTheRoutesAreJsonToo) {
  start();
  net::TestClient client(server_->port());
  client.send("nonsense\r\n\r\n");
  const net::TestResponse response = client.read();
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(json::parse(response.body).at("error").at("type"), "BadRequestError");
}

TEST_F(ApiServerRoutes, RefusesToStartWithoutItsParts) {
  EXPECT_FALSE(ApiServer::start({}, {}, metrics_));
  ServedModel model;
  model.names = {"a"};
  EXPECT_FALSE(ApiServer::start({}, {model}, metrics_));
  model.tokenizer = tokenizer_.get();
  model.generator = &generator_;
  ApiOptions empty_key;
  empty_key.api_keys = {""};
  EXPECT_FALSE(ApiServer::start(empty_key, {model}, metrics_));
  model.names = {"a", "a"};
  const auto twice = ApiServer::start({}, {model}, metrics_);
  ASSERT_FALSE(twice);
  EXPECT_THAT(twice.error().message, HasSubstr("used twice"));
}

TEST_F(ApiServerRoutes, EventsAfterTheServerEndedAreHarmless) {
  start();
  generator_.hold();
  net::TestClient client(server_->port());
  client.request("POST", "/v1/completions", R"({"prompt": "hi"})");
  ASSERT_TRUE(generator_.wait_for_requests(1));
  server_.reset();
  EXPECT_TRUE(generator_.wait_for_cancels(1));
  generator_.release();
}

// One wrong thing a body: a value of a random wrong kind in a random field, or bytes that are no
// JSON.
class BodyMutator {
 public:
  explicit BodyMutator(uint32_t seed) : random_(seed) {}

  // A body that no endpoint may accept.
  std::string next(const std::string& good) {
    switch (random_() % 4) {
      case 0:
        return good.substr(0, random_() % good.size());
      case 1:
        return with_wrong_field(good);
      case 2:
        return with_garbage(good);
      default:
        return nested();
    }
  }

 private:
  std::string pick(const std::vector<std::string>& from) { return from[random_() % from.size()]; }

  std::string with_wrong_field(const std::string& good) {
    static const std::vector<std::string> kFields = {
        "temperature", "top_p",  "top_k",          "min_p",         "seed",     "n",
        "max_tokens",  "stream", "logit_bias",     "echo",          "priority", "presence_penalty",
        "min_tokens",  "model",  "stop_token_ids", "stream_options"};
    // None of these is right for any of the fields.
    static const std::vector<std::string> kValues = {
        "\"\\u0000\"", "[[]]",         "{\"a\": {}}", "-1e400",
        "1e400",       "[null, 5e99]", "[\"x\", {}]", "123456789012345678901234567890e12345"};
    std::string out = good;
    // At the end: where a name comes twice, the last counts.
    out.insert(out.size() - 1, ", \"" + pick(kFields) + "\": " + pick(kValues));
    return out;
  }

  std::string with_garbage(const std::string& good) {
    static const std::vector<std::string> kGarbage = {
        "\xff", "\xc3(", "\"", "{", ",,", "NaN", "\\ud800", std::string(1, '\0'), "\xed\xa0\x80"};
    std::string out = good;
    // Before the last brace, outside any string: nothing there makes it right again.
    out.insert(out.size() - 1, pick(kGarbage));
    return out;
  }

  std::string nested() {
    const size_t depth = 200 + random_() % 100'000;
    return "{\"prompt\": " + std::string(depth, random_() % 2 == 0 ? '[' : '{');
  }

  std::mt19937 random_;
};

TEST_F(ApiServerRoutes, AThousandMalformedBodiesAreRefusedAndTheServerLives) {
  start();
  BodyMutator mutator(20240607);
  const std::vector<std::pair<std::string, std::string>> good = {
      {"/v1/completions", R"({"prompt": "hello", "max_tokens": 2})"},
      {"/v1/chat/completions",
       R"({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 2})"}};
  auto client = std::make_unique<net::TestClient>(server_->port());
  for (int round = 0; round < 1200; ++round) {
    const auto& [path, body] = good[static_cast<size_t>(round) % good.size()];
    const std::string wrong = mutator.next(body);
    client->request("POST", path, wrong);
    const net::TestResponse response = client->read();
    ASSERT_GE(response.status, 400) << wrong.substr(0, 200) << "\n" << response.body;
    ASSERT_LT(response.status, 500) << wrong.substr(0, 200);
    ASSERT_THAT(response.body, StartsWith("{\"error\":"));
  }
  for (const auto& [path, body] : good)
    EXPECT_EQ(post(path, body).status, 200);
  EXPECT_EQ(get("/health").status, 200);
}

TEST_F(ApiServerRoutes, RandomEditsOfBodiesNeverFailTheServer) {
  start();
  std::mt19937 random(11);
  const std::string good =
      R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "h"}]}], "n": 1,)"
      R"( "stop": ["x"], "logit_bias": {"5": 1}, "stream": false, "max_tokens": 2})";
  net::TestClient client(server_->port());
  for (int round = 0; round < 1500; ++round) {
    std::string body = good;
    for (int edits = 1 + static_cast<int>(random() % 4); edits > 0; --edits) {
      body[random() % body.size()] = static_cast<char>(random());
    }
    client.request("POST", "/v1/chat/completions", body);
    const net::TestResponse response = client.read();
    ASSERT_GE(response.status, 200) << body;
    ASSERT_LT(response.status, 500) << body;
  }
}

}  // namespace
}  // namespace inferno::serve
