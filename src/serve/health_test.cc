#include "serve/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "serve/registry_fixture.h"

namespace inferno::serve {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;
using ::testing::Not;

class Health : public RegistryServerTest {
 protected:
  // The statuses of /health, /health/live and /health/ready.
  std::vector<int> statuses() {
    std::vector<int> out;
    for (const char* path : {"/health", "/health/live", "/health/ready"})
      out.push_back(get(path).status);
    return out;
  }
  std::string state() {
    return std::string(json::parse(get("/health").body).at("state").as_string());
  }
};

TEST_F(Health, ALoadingServerLivesButIsNotReady) {
  loader_.hold();
  start({}, {"a"});
  std::thread loading([this] { EXPECT_TRUE(registry_->load_listed()); });
  ASSERT_TRUE(loader_.wait_for_loads(1));
  EXPECT_EQ(statuses(), (std::vector<int>{503, 200, 503}));
  EXPECT_EQ(get("/v1/health").status, 503);
  EXPECT_EQ(get("/ping").status, 503);
  EXPECT_EQ(json::parse(get("/health").body),
            json::parse(R"({"state": "loading", "models": [{"name": "a", "state": "loading"}]})"));
  EXPECT_THAT(get("/metrics").body, HasSubstr("inferno:server_state{state=\"loading\"} 1.0"));
  loader_.release();
  loading.join();
  server_->set_ready();
  EXPECT_EQ(statuses(), (std::vector<int>{200, 200, 200}));
  EXPECT_EQ(json::parse(get("/health").body),
            json::parse(R"({"state": "ready", "models": [{"name": "a", "state": "ready"}]})"));
}

TEST_F(Health, ALoadingServerRefusesRequestsAndShowsThePage) {
  start({}, {"a"});
  for (const char* path : {"/v1/completions", "/v1/chat/completions", "/tokenize"}) {
    const net::TestResponse refused = post(path, R"({"prompt": "hi"})");
    EXPECT_EQ(refused.status, 503) << path;
    EXPECT_THAT(refused.head, HasSubstr("Retry-After: "));
    EXPECT_THAT(refused.body, HasSubstr("loading"));
  }
  EXPECT_EQ(get("/v1/models").status, 503);
  EXPECT_EQ(get("/").status, 200);
  EXPECT_EQ(get("/version").status, 200);
  EXPECT_EQ(get("/metrics").status, 200);
}

TEST_F(Health, ABrokenEngineIsNeitherReadyNorAlive) {
  start_ready({}, {"a", "b"});
  loader_.generator("b").is_healthy = false;
  EXPECT_EQ(statuses(), (std::vector<int>{503, 503, 503}));
  EXPECT_EQ(state(), "failed");
  EXPECT_EQ(source_of(complete("a")), "a") << "the other model still answers";
  EXPECT_THAT(get("/metrics").body,
              HasSubstr("inferno:model_state{model_name=\"b\",state=\"failed\"} 1.0"));
  loader_.generator("b").is_healthy = true;
  EXPECT_EQ(statuses(), (std::vector<int>{200, 200, 200}));
}

TEST_F(Health, ADrainingServerFinishesWhatRunsAndRefusesTheRest) {
  start_ready({}, {"a"});
  loader_.generator("a").hold();
  net::TestClient running(server_->port());
  running.request("POST", "/v1/completions", R"({"prompt": "hi", "max_tokens": 1})");
  ASSERT_TRUE(loader_.generator("a").wait_for_requests(1));
  std::thread stopping([this] { server_->stop(std::chrono::seconds(60)); });
  ASSERT_TRUE(eventually([this] { return state() == "draining"; }));
  EXPECT_EQ(statuses(), (std::vector<int>{503, 200, 503}));
  const net::TestResponse refused = complete("a");
  EXPECT_EQ(refused.status, 503);
  EXPECT_THAT(refused.head, HasSubstr("Retry-After: "));
  EXPECT_THAT(refused.body, HasSubstr("draining"));
  loader_.generator("a").release();
  EXPECT_EQ(source_of(running.read()), "a");
  stopping.join();
}

TEST_F(Health, ADrainEndsWithItsTime) {
  start_ready({}, {"a"});
  FakeGenerator& generator = loader_.generator("a");
  generator.hold();
  net::TestClient running(server_->port());
  running.request("POST", "/v1/completions", R"({"prompt": "hi", "max_tokens": 1})");
  ASSERT_TRUE(generator.wait_for_requests(1));
  server_->stop(std::chrono::milliseconds(50));
  EXPECT_TRUE(generator.wait_for_cancels(1));
}

TEST_F(Health, ALazyServerIsReadyWithoutItsModels) {
  start_ready({.is_lazy = true}, {"a"});
  EXPECT_EQ(statuses(), (std::vector<int>{200, 200, 200}));
  EXPECT_THAT(get("/v1/models").body, HasSubstr("\"state\":\"stopped\""));
  EXPECT_EQ(source_of(complete("a")), "a");
  EXPECT_THAT(get("/v1/models").body, Not(HasSubstr("stopped")));
}

}  // namespace
}  // namespace inferno::serve
