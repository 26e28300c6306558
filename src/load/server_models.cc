#include "load/server_models.h"

#include <boost/json.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "load/answer_reader.h"

namespace inferno::load {

namespace json = boost::json;

namespace {

constexpr std::chrono::milliseconds kTimeout{30'000};
constexpr size_t kMaxBodyBytes = 4 << 20;

class WholeAnswer final : public net::HttpSink {
 public:
  void on_head(int answer_status, const net::HttpHeaders&) override { status = answer_status; }
  void on_body(std::string_view bytes) override { body += bytes; }
  void on_end(Result<void> result) override { end = std::move(result); }

  int status = 0;
  std::string body;
  std::optional<Result<void>> end;
};

}  // namespace

Result<std::string> first_model_in(std::string_view body) {
  boost::system::error_code error;
  const json::value value = json::parse(body, error);
  const json::object* list = error ? nullptr : value.if_object();
  const json::value* data = list == nullptr ? nullptr : list->if_contains("data");
  if (data != nullptr && data->is_array() && !data->get_array().empty()) {
    const json::object* first = data->get_array().front().if_object();
    const json::value* id = first == nullptr ? nullptr : first->if_contains("id");
    if (id != nullptr && id->is_string()) return std::string(id->get_string());
  }
  return fail(Fault::kCorrupt,
              "the server's /v1/models is not a list of models; name one with "
              "--model");
}

Result<std::string> first_model(boost::asio::io_context& io, const net::HttpUrl& url,
                                const net::HttpHeaders& headers) {
  net::HttpClient client(io, {.max_body_bytes = kMaxBodyBytes});
  net::HttpClientRequest request;
  request.url = url;
  request.method = "GET";
  request.target = url.path + "/v1/models";
  request.headers = headers;
  request.timeout = kTimeout;
  const auto answer = std::make_shared<WholeAnswer>();
  client.send(std::move(request), answer);
  io.restart();
  while (!answer->end && io.run_one() > 0) {
  }
  if (!answer->end) return fail(Fault::kInternal, "the event loop ended before the answer");
  if (!*answer->end) return std::unexpected(answer->end->error());
  if (answer->status != 200) {
    return fail(Fault::kInvalid, "the server answers /v1/models with status {}: {}", answer->status,
                error_message_of(answer->body));
  }
  return first_model_in(answer->body);
}

}  // namespace inferno::load
