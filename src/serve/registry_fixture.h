// A whole API server over a registry whose models a fake loader loads, for tests of what changes
// while a server runs.
//
// Threads: the test's.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/test_client.h"
#include "serve/api_server.h"
#include "serve/fake_loader.h"

namespace inferno::serve {

class RegistryServerTest : public ::testing::Test {
 protected:
  // Starts a server that is still loading, with models "a" and so on from sources of their names.
  void start(RegistryOptions options, const std::vector<std::string>& names) {
    registry_ = std::make_unique<ModelRegistry>(options, &loader_, metrics_, clock_);
    for (const std::string& name : names)
      ASSERT_TRUE(registry_->list({.names = {name}, .source = name}));
    options_.http.host = "127.0.0.1";
    options_.http.port = 0;
    options_.admin_key = admin_key_;
    auto started = ApiServer::start(options_, *registry_, metrics_);
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
  }
  // As start(), and loads.
  void start_ready(RegistryOptions options, const std::vector<std::string>& names) {
    start(options, names);
    ASSERT_TRUE(registry_->load_listed());
    server_->set_ready();
  }

  net::TestResponse get(std::string_view path, std::string_view headers = "") {
    return net::get(server_->port(), path, headers);
  }
  net::TestResponse post(std::string_view path, std::string_view body,
                         std::string_view headers = "") {
    return net::post(server_->port(), path, body, headers);
  }
  net::TestResponse admin(std::string_view path, std::string_view body) {
    return post(path, body, "Authorization: Bearer " + admin_key_ + "\r\n");
  }
  net::TestResponse complete(const std::string& model) {
    return post("/v1/completions",
                R"({"prompt": "hi", "max_tokens": 1, "model": ")" + model + "\"}");
  }
  // Where the model that answered came from, as fake models spell it; empty when none did.
  std::string source_of(const net::TestResponse& response) {
    if (response.status != 200) return "";
    return std::string(
        boost::json::parse(response.body).at("choices").at(0).at("text").as_string());
  }

  std::string admin_key_ = "admin";
  ApiOptions options_;
  FakeLoader loader_;
  MetricRegistry metrics_;
  ManualClock clock_;
  std::unique_ptr<ModelRegistry> registry_;
  std::unique_ptr<ApiServer> server_;  // ends before the registry
};

}  // namespace inferno::serve
