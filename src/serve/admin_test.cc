#include "serve/admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "serve/registry_fixture.h"

namespace inferno::serve {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;

using Admin = RegistryServerTest;

TEST_F(Admin, NeedsTheAdminKey) {
  options_.api_keys = {"user"};
  start_ready({}, {"a"});
  EXPECT_EQ(post("/v1/models/load", R"({"model": "b"})").status, 401);
  EXPECT_EQ(post("/v1/models/load", R"({"model": "b"})", "Authorization: Bearer user\r\n").status,
            401);
  EXPECT_EQ(post("/v1/models/unload", R"({"model": "a"})").status, 401);
  EXPECT_EQ(loader_.loads().size(), 1u);
  EXPECT_EQ(get("/v1/models", "Authorization: Bearer admin\r\n").status, 401);
  EXPECT_EQ(admin("/v1/models/load", R"({"model": "b"})").status, 200);
}

TEST_F(Admin, IsClosedWithoutAnAdminKey) {
  admin_key_ = "";
  start_ready({}, {"a"});
  const net::TestResponse refused = post("/v1/models/load", R"({"model": "b"})");
  EXPECT_EQ(refused.status, 403);
  EXPECT_THAT(refused.body, HasSubstr("admin key"));
  EXPECT_EQ(post("/v1/models/unload", R"({"model": "a"})", "Authorization: Bearer \r\n").status,
            403);
}

TEST_F(Admin, KeysCanBeChangedWhileItServes) {
  start_ready({}, {"a"});
  ASSERT_TRUE(server_->set_keys({.api_keys = {"next"}, .admin_key = "boss"}));
  EXPECT_EQ(get("/v1/models").status, 401);
  EXPECT_EQ(get("/v1/models", "Authorization: Bearer next\r\n").status, 200);
  EXPECT_EQ(get("/debug/memory").status, 401);
  EXPECT_EQ(get("/debug/memory", "Authorization: Bearer next\r\n").status, 200);
  EXPECT_EQ(admin("/v1/models/unload", R"({"model": "a"})").status, 401);
  EXPECT_FALSE(server_->set_keys({.api_keys = {""}, .admin_key = ""}));
  EXPECT_EQ(get("/v1/models", "Authorization: Bearer next\r\n").status, 200);
}

TEST_F(Admin, LoadsAndUnloadsWhileItServes) {
  start_ready({}, {"a"});
  const net::TestResponse loaded =
      admin("/v1/models/load", R"({"model": "folder/b.gguf", "name": "bee"})");
  EXPECT_EQ(json::parse(loaded.body),
            json::parse(R"({"id": "bee", "object": "model", "state": "ready"})"));
  EXPECT_EQ(source_of(complete("bee")), "folder/b.gguf");
  EXPECT_EQ(admin("/v1/models/load", R"({"model": "folder/c.gguf"})").status, 200);
  EXPECT_EQ(source_of(complete("c")), "folder/c.gguf");
  const json::value gone = json::parse(admin("/v1/models/unload", R"({"model": "bee"})").body);
  EXPECT_TRUE(gone.at("state") == "stopped" || gone.at("state") == "draining") << gone;
  EXPECT_EQ(complete("bee").status, 404);
  EXPECT_EQ(admin("/v1/models/unload", R"({"model": "bee"})").status, 404);
  EXPECT_TRUE(eventually([&] { return loader_.alive_count() == 2; }));
}

TEST_F(Admin, TellsWhatIsWrong) {
  start_ready({}, {"a"});
  for (const char* wrong : {"", "[]", "{}", R"({"model": ""})", R"({"model": 7})",
                            R"({"model": "b", "name": ""})", R"({"model": "b", "name": "a b"})",
                            R"({"model": "b", "replace": 1})", R"({"model": "/etc/passwd"})"}) {
    EXPECT_EQ(admin("/v1/models/load", wrong).status, 400) << wrong;
  }
  EXPECT_EQ(admin("/v1/models/unload", "{}").status, 400);
  const net::TestResponse taken = admin("/v1/models/load", R"({"model": "b", "name": "a"})");
  EXPECT_EQ(taken.status, 400);
  EXPECT_THAT(taken.body, HasSubstr("replace"));
  loader_.set_failing({"bad"});
  EXPECT_EQ(admin("/v1/models/load", R"({"model": "bad"})").status, 500);
  EXPECT_EQ(complete("bad").status, 404);
  EXPECT_EQ(get("/v1/models/load").status, 404) << "the card of a model named load";
  EXPECT_EQ(loader_.loads().size(), 2u);
}

TEST_F(Admin, AServerWithFixedModelsLoadsNone) {
  const auto tokenizer = make_byte_tokenizer();
  FakeGenerator generator;
  ServedModel model;
  model.names = {"fixed"};
  model.tokenizer = tokenizer.get();
  model.generator = &generator;
  options_.http.host = "127.0.0.1";
  options_.http.port = 0;
  options_.admin_key = admin_key_;
  server_ = std::move(*ApiServer::start(options_, {model}, metrics_));
  EXPECT_EQ(admin("/v1/models/load", R"({"model": "b"})").status, 501);
  EXPECT_EQ(admin("/v1/models/unload", R"({"model": "fixed"})").status, 400);
  server_.reset();
}

TEST_F(Admin, ARequestKeepsItsModelUntilItsLastToken) {
  start_ready({}, {"a", "b"});
  FakeGenerator& generator = loader_.generator("b");
  generator.hold();
  net::TestClient running(server_->port());
  running.request("POST", "/v1/completions", R"({"prompt": "hi", "max_tokens": 3, "model": "b"})");
  ASSERT_TRUE(generator.wait_for_requests(1));
  EXPECT_THAT(admin("/v1/models/unload", R"({"model": "b"})").body, HasSubstr("draining"));
  EXPECT_EQ(complete("b").status, 404);
  EXPECT_THAT(get("/health").body, HasSubstr(R"({"name":"b","state":"draining"})"));
  EXPECT_EQ(loader_.alive_count(), 2);
  generator.release();
  EXPECT_EQ(source_of(running.read()), "bbb");
  EXPECT_TRUE(eventually([&] { return loader_.alive_count() == 1; }));
}

TEST_F(Admin, AClientThatLeavesLetsItsModelGo) {
  start_ready({}, {"a", "b"});
  FakeGenerator& generator = loader_.generator("b");
  generator.hold();
  {
    net::TestClient leaving(server_->port());
    leaving.request("POST", "/v1/completions", R"({"prompt": "hi", "model": "b"})");
    ASSERT_TRUE(generator.wait_for_requests(1));
    EXPECT_EQ(admin("/v1/models/unload", R"({"model": "b"})").status, 200);
  }
  EXPECT_TRUE(eventually([&] { return loader_.alive_count() == 1; }));
}

TEST_F(Admin, ReplacingAModelFailsNoRequest) {
  start_ready({}, {"a"});
  std::atomic<bool> is_over{false};
  std::atomic<int> answered{0};
  std::atomic<int> failed{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 3; ++c) {
    clients.emplace_back([&] {
      net::TestClient client(server_->port());
      while (!is_over) {
        client.request("POST", "/v1/completions",
                       R"({"prompt": "hi", "max_tokens": 2, "model": "a"})");
        const std::string text = source_of(client.read());
        // Both tokens are of one model: "aa", or "v1v1" and so on.
        const bool is_one_model = text.size() >= 2 && text.size() % 2 == 0 &&
                                  text.substr(0, text.size() / 2) == text.substr(text.size() / 2);
        ++(is_one_model ? answered : failed);
      }
    });
  }
  for (int version = 1; version <= 20; ++version) {
    const std::string body =
        fmt::format(R"({{"model": "v{}", "name": "a", "replace": true}})", version);
    EXPECT_EQ(admin("/v1/models/load", body).status, 200);
    EXPECT_EQ(source_of(complete("a")), fmt::format("v{}", version));
  }
  is_over = true;
  for (std::thread& client : clients)
    client.join();
  EXPECT_EQ(failed, 0);
  EXPECT_GT(answered, 0);
  EXPECT_TRUE(eventually([&] { return loader_.alive_count() == 1; }));
}

TEST_F(Admin, RequestsWaitForAModelThatIsLoadedForThem) {
  start_ready({.is_lazy = true}, {"a", "b"});
  loader_.hold();
  net::TestClient first(server_->port());
  net::TestClient second(server_->port());
  first.request("POST", "/v1/completions", R"({"prompt": "hi", "max_tokens": 1})");
  second.request("POST", "/v1/chat/completions", R"({"model": "a", "messages": 7})");
  ASSERT_TRUE(loader_.wait_for_loads(1));
  EXPECT_EQ(complete("nobody").status, 404) << "the I/O threads do not wait";
  EXPECT_EQ(post("/v1/completions", "{nonsense").status, 400);
  loader_.release();
  EXPECT_EQ(source_of(first.read()), "a");
  EXPECT_EQ(second.read().status, 400);
  EXPECT_EQ(loader_.loads(), std::vector<std::string>{"a"});
}

TEST_F(Admin, AModelThatCannotBeLoadedForARequestIs503) {
  start_ready({.is_lazy = true}, {"a"});
  loader_.set_failing({"a"});
  const net::TestResponse refused = complete("a");
  EXPECT_EQ(refused.status, 503);
  EXPECT_THAT(refused.head, HasSubstr("Retry-After: "));
  EXPECT_THAT(refused.body, HasSubstr("a is broken"));
  EXPECT_THAT(get("/v1/models").body, HasSubstr("\"error\":\"a is broken\""));
  EXPECT_EQ(get("/health").status, 200);
}

TEST_F(Admin, AClientThatLeavesWhileItsModelLoadsIsForgotten) {
  start_ready({.is_lazy = true}, {"a"});
  loader_.hold();
  {
    net::TestClient leaving(server_->port());
    leaving.request("POST", "/v1/completions", R"({"prompt": "hi"})");
    ASSERT_TRUE(loader_.wait_for_loads(1));
  }
  loader_.release();
  EXPECT_EQ(source_of(complete("a")), "a");
}

}  // namespace
}  // namespace inferno::serve
