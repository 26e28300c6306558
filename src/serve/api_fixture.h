// A whole API server over a fake generator, on a port of the system's choice, for tests.
//
// Threads: the test's.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/sse.h"
#include "net/test_client.h"
#include "serve/api_server.h"
#include "serve/fake_generator.h"
#include "token/chat_template.h"

namespace inferno::serve {

class ApiServerTest : public ::testing::Test {
 protected:
  static constexpr const char* kTemplate =
      "{% for message in messages %}"
      "{% if message.role == 'refused' %}{{ raise_exception('no such role') }}{% endif %}"
      "<|start|>{{ message.role }}\n{{ message.content }}<|end|>{% endfor %}"
      "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}";

  void start() {
    auto parsed = token::ChatTemplate::parse(kTemplate, "", "<|end|>");
    ASSERT_TRUE(parsed) << parsed.error().message;
    chat_template_ = std::make_unique<token::ChatTemplate>(std::move(*parsed));
    options_.http.host = "127.0.0.1";
    options_.http.port = 0;
    ServedModel model;
    model.names = {"first", "org/second"};
    model.tokenizer = tokenizer_.get();
    model.chat_template = has_template_ ? chat_template_.get() : nullptr;
    model.generator = &generator_;
    model.takes_priority = takes_priority_;
    auto started = ApiServer::start(options_, {model}, metrics_);
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
  }

  net::TestResponse get(std::string_view path, std::string_view headers = "") {
    return net::get(server_->port(), path, headers);
  }
  net::TestResponse post(std::string_view path, std::string_view body,
                         std::string_view headers = "") {
    return net::post(server_->port(), path, body, headers);
  }

  // The value of an answer's header, or empty.
  static std::string header_of(const net::TestResponse& response, std::string_view name) {
    return net::TestClient::header_of(response.head, name).value_or("");
  }

  // The JSON answer to a POST that must succeed.
  boost::json::value answer(std::string_view path, std::string_view body) {
    const net::TestResponse response = post(path, body);
    EXPECT_EQ(response.status, 200) << response.body;
    return boost::json::parse(response.body);
  }
  // The error answer to a POST that must fail with `status`.
  boost::json::value refusal(int status, std::string_view path, std::string_view body) {
    const net::TestResponse response = post(path, body);
    EXPECT_EQ(response.status, status) << body << "\n" << response.body;
    boost::json::error_code error;
    boost::json::value value = boost::json::parse(response.body, error);
    if (error || !value.is_object() || !value.as_object().contains("error")) {
      ADD_FAILURE() << "no error body: " << response.body;
      return boost::json::object{{"message", ""}, {"type", ""}, {"param", nullptr}, {"code", 0}};
    }
    EXPECT_EQ(value.at("error").at("code"), status);
    return value.at("error");
  }

  // The chunks of a stream; the last, "[DONE]", is checked and left out.
  static std::vector<boost::json::value> chunks_of(const net::TestResponse& response) {
    EXPECT_EQ(response.status, 200) << response.body;
    net::SseReader reader;
    reader.feed(response.body);
    std::vector<boost::json::value> chunks;
    bool is_done = false;
    while (auto data = reader.next()) {
      EXPECT_FALSE(is_done) << *data;
      is_done = *data == "[DONE]";
      if (!is_done) chunks.push_back(boost::json::parse(*data));
    }
    EXPECT_TRUE(is_done);
    return chunks;
  }
  std::vector<boost::json::value> stream(std::string_view path, std::string_view body) {
    return chunks_of(post(path, body));
  }

  // The value of a metric's sample, or none.
  std::optional<double> metric(const std::string& sample) {
    const std::string text = "\n" + get("/metrics").body;
    const size_t at = text.find("\n" + sample + " ");
    if (at == std::string::npos) return std::nullopt;
    return std::stod(text.substr(at + sample.size() + 2));
  }

  bool has_template_ = true;
  bool takes_priority_ = false;
  ApiOptions options_;
  MetricRegistry metrics_;
  std::unique_ptr<token::Tokenizer> tokenizer_ = make_byte_tokenizer();
  std::unique_ptr<token::ChatTemplate> chat_template_;
  FakeGenerator generator_;
  std::unique_ptr<ApiServer> server_;
};

}  // namespace inferno::serve
