#include "load/server_models.h"

#include <gmock/gmock.h>

#include "net/http_server.h"

namespace inferno::load {
namespace {

using ::testing::HasSubstr;

class ModelList : public net::HttpHandler {
 public:
  void handle(net::HttpRequest request, std::shared_ptr<net::Responder> responder) override {
    if (request.header("Authorization") != "Bearer k") {
      responder->send(401, {}, R"({"error":{"message":"no key"}})");
    } else if (request.path == "/v1/models") {
      responder->send(200, {}, R"({"data":[{"id":"a"},{"id":"b"}]})");
    } else {
      responder->send(404, {}, "");
    }
  }
};

TEST(ServerModels, FirstOneIsAskedFor) {
  net::HttpServerOptions http;
  http.host = "127.0.0.1";
  http.port = 0;
  const auto server = *net::HttpServer::start(http, std::make_shared<ModelList>());
  boost::asio::io_context io;
  const net::HttpUrl url{.host = "127.0.0.1", .port = std::to_string(server->port()), .path = ""};
  EXPECT_EQ(first_model(io, url, {{"Authorization", "Bearer k"}}), "a");
  const auto refused = first_model(io, url, {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("status 401: no key"));
  server->stop(std::chrono::milliseconds(0));
  EXPECT_EQ(first_model(io, url, {}).error().fault, Fault::kPeerGone);
}

TEST(ServerModels, RefusesWhatIsNoList) {
  for (const char* body : {"", "x", "[]", "{}", R"({"data":[]})", R"({"data":[{}]})",
                           R"({"data":[{"id":1}]})", R"({"data":["a"]})"}) {
    EXPECT_FALSE(first_model_in(body)) << body;
  }
  EXPECT_EQ(first_model_in(R"({"object":"list","data":[{"id":"x"}]})"), "x");
}

}  // namespace
}  // namespace inferno::load
