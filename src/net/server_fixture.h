// A server with routes that tests steer, for the tests of this folder.
//
// Threads: the routes are called on I/O threads; the test waits on its own.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "net/http_server.h"
#include "net/test_client.h"

namespace inferno::net {

// Answers by path: /echo the body, /hold nothing (the test takes the responder; the request
// stays), /throw an exception, /refused 403 and /refuse-throws an exception, both before
// the body; /no-memory finds none.
class Routes : public HttpHandler {
 public:
  std::optional<HttpAnswer> refuse(const HttpRequest& head) override {
    EXPECT_EQ(head.body, "");
    if (head.path == "/refuse-throws") throw std::runtime_error("a test's exception");
    if (head.path != "/refused") return std::nullopt;
    return HttpAnswer{403, {{"Content-Type", "text/plain"}}, "not you"};
  }

  void handle(HttpRequest request, std::shared_ptr<Responder> responder) override {
    if (request.path == "/throw") throw std::runtime_error("a test's exception");
    if (request.path == "/no-memory") throw std::bad_alloc();
    if (request.path == "/drop") return;
    if (request.path == "/hold") {
      std::lock_guard lock(mutex_);
      responder->on_disconnect([this] {
        std::lock_guard inner(mutex_);
        ++gone_count_;
        changed_.notify_all();
      });
      held_.push_back(std::move(responder));
      requests_.push_back(std::move(request));
      changed_.notify_all();
      return;
    }
    const std::string about = request.method + " " + request.path + "?" + request.query + "\n";
    responder->send(200, {{"Content-Type", "text/plain"}}, about + request.body);
  }

  // The responder of the `index`th request to /hold, once it has come.
  std::shared_ptr<Responder> take_held(size_t index = 0) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return held_.size() > index; });
    return held_.size() > index ? std::exchange(held_[index], nullptr) : nullptr;
  }

  // Lets go of the requests to /hold, which hold their bodies until then.
  void drop_requests() {
    std::lock_guard lock(mutex_);
    requests_.clear();
  }

  // True when `count` clients of /hold are seen to have gone within some seconds.
  bool wait_for_gone(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return gone_count_ >= count; });
  }
  int gone_count() {
    std::lock_guard lock(mutex_);
    return gone_count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Responder>> held_;
  std::vector<HttpRequest> requests_;
  int gone_count_ = 0;
};

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest() {
    options_.host = "127.0.0.1";
    options_.port = 0;
  }

  void start() {
    auto started = HttpServer::start(options_, routes_);
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
  }
  uint16_t port() const { return server_->port(); }

  // Sends the first request to /hold and takes its responder; null when it does not come.
  std::shared_ptr<Responder> hold(TestClient& client) {
    client.request("GET", "/hold");
    return routes_->take_held();
  }

  // A whole request on a connection of its own still works.
  void expect_alive() {
    TestClient client(port());
    client.request("POST", "/echo", "alive");
    EXPECT_EQ(client.read().body, "POST /echo?\nalive");
  }

  HttpServerOptions options_;
  std::shared_ptr<Routes> routes_ = std::make_shared<Routes>();
  std::unique_ptr<HttpServer> server_;
};

}  // namespace inferno::net
