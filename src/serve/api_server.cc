#include "serve/api_server.h"

#include <boost/json.hpp>
#include <set>
#include <utility>

#include "serve/api_key.h"
#include "serve/chat_completions.h"
#include "serve/completions.h"
#include "serve/errors.h"
#include "serve/models.h"
#include "serve/page.h"
#include "serve/service.h"
#include "serve/tokenize.h"

namespace inferno::serve {

namespace json = boost::json;

namespace {

constexpr std::string_view kModelPath = "/v1/models/";

class Router final : public net::HttpHandler {
 public:
  Router(Service service, std::vector<std::string> api_keys)
      : service_(std::move(service)), api_keys_(std::move(api_keys)) {}

  void handle(net::HttpRequest request, std::shared_ptr<net::Responder> responder) override {
    if (needs_api_key(request.path) && !has_api_key(request, api_keys_)) {
      responder->send(401, {{"Content-Type", "application/json"}, {"WWW-Authenticate", "Bearer"}},
                      "{\"error\":\"Unauthorized\"}");
      return;
    }
    if (answer_get(request, *responder) || answer_post(request, responder)) return;
    refuse_route(request, *responder);
  }

  std::string error_body(int status, const std::string& message,
                         std::string& content_type) override {
    content_type = "application/json";
    return json::serialize(error_object(status, Error{Fault::kInvalid, message, {}}));
  }

 private:
  // False when no GET route has the path. HEAD is GET whose body the connection leaves out.
  bool answer_get(const net::HttpRequest& request, net::Responder& responder) const {
    if (request.method != "GET" && request.method != "HEAD") return false;
    const std::string& path = request.path;
    if (path == "/health" || path == "/v1/health" || path == "/ping") {
      send_health(responder);
    } else if (path == "/v1/models") {
      handle_model_list(service_, responder);
    } else if (path.starts_with(kModelPath)) {
      handle_model(service_, std::string_view(path).substr(kModelPath.size()), responder);
    } else if (path == "/version") {
      send_json(responder, {{"version", INFERNO_VERSION}});
    } else if (path == "/metrics") {
      responder.send(200, {{"Content-Type", kMetricsContentType}}, service_.metrics->exposition());
    } else if (const PageFile* file = find_page_file(path)) {
      responder.send(200,
                     {{"Content-Type", std::string(file->content_type)},
                      {"Content-Security-Policy", std::string(page_security_policy())},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Cache-Control", "no-cache"}},
                     std::string(file->content));
    } else {
      return false;
    }
    return true;
  }

  bool answer_post(const net::HttpRequest& request,
                   const std::shared_ptr<net::Responder>& responder) const {
    if (request.method != "POST") return false;
    if (request.path == "/v1/chat/completions") {
      handle_chat(service_, request, responder);
    } else if (request.path == "/v1/completions") {
      handle_completion(service_, request, responder);
    } else if (request.path == "/tokenize") {
      handle_tokenize(service_, request, *responder);
    } else if (request.path == "/detokenize") {
      handle_detokenize(service_, request, *responder);
    } else if (request.path == "/ping") {
      send_health(*responder);
    } else {
      return false;
    }
    return true;
  }

  void send_health(net::Responder& responder) const {
    responder.send(service_.healthy() ? 200 : 503, {}, "");
  }

  // 405 when the path has a route under another method, else 404.
  void refuse_route(const net::HttpRequest& request, net::Responder& responder) const {
    static const std::set<std::string_view> kPostPaths = {"/v1/chat/completions", "/v1/completions",
                                                          "/tokenize", "/detokenize"};
    static const std::set<std::string_view> kGetPaths = {"/health",    "/v1/health", "/ping",
                                                         "/v1/models", "/version",   "/metrics"};
    const std::string_view path = request.path;
    const bool has_post = kPostPaths.contains(path);
    const bool has_get =
        kGetPaths.contains(path) || path.starts_with(kModelPath) || find_page_file(path) != nullptr;
    if (!has_post && !has_get) {
      send_error(responder, Error{Fault::kNotFound, "There is nothing at this path.", {}});
      return;
    }
    std::string allowed = has_post ? "POST" : "GET, HEAD";
    if (path == "/ping") allowed += ", POST";
    const Error error{
        Fault::kInvalid, "This path does not take the request's method: " + allowed, {}};
    responder.send(405, {{"Content-Type", "application/json"}, {"Allow", allowed}},
                   json::serialize(error_object(405, error)));
  }

  Service service_;
  std::vector<std::string> api_keys_;
};

Result<void> check_models(const std::vector<ServedModel>& models) {
  if (models.empty()) return fail(Fault::kInvalid, "no model to serve");
  std::set<std::string> names;
  for (const ServedModel& model : models) {
    if (model.names.empty()) return fail(Fault::kInvalid, "a served model has no name");
    for (const std::string& name : model.names) {
      if (name.empty()) return fail(Fault::kInvalid, "a served model has an empty name");
      if (!names.insert(name).second) {
        return fail(Fault::kInvalid, "the model name \"{}\" is used twice", name);
      }
    }
    if (model.tokenizer == nullptr || model.generator == nullptr) {
      return fail(Fault::kInvalid, "model \"{}\" lacks a tokenizer or a generator",
                  model.names.front());
    }
  }
  return {};
}

}  // namespace

class ApiServer::Impl {
 public:
  explicit Impl(std::unique_ptr<net::HttpServer> started) : http(std::move(started)) {}
  std::unique_ptr<net::HttpServer> http;
};

ApiServer::ApiServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ApiServer::~ApiServer() = default;

Result<std::unique_ptr<ApiServer>> ApiServer::start(ApiOptions options,
                                                    std::vector<ServedModel> models,
                                                    MetricRegistry& metrics) {
  if (auto checked = check_models(models); !checked) return std::unexpected(checked.error());
  for (const std::string& key : options.api_keys) {
    if (key.empty()) return fail(Fault::kInvalid, "an API key is empty");
  }
  Service service;
  service.metrics = &metrics;
  for (ServedModel& model : models) {
    service.models.push_back(std::make_unique<ModelEntry>(std::move(model), metrics));
  }
  auto router = std::make_shared<Router>(std::move(service), std::move(options.api_keys));
  auto http = net::HttpServer::start(options.http, std::move(router));
  if (!http) return std::unexpected(http.error());
  return std::unique_ptr<ApiServer>(new ApiServer(std::make_unique<Impl>(std::move(*http))));
}

uint16_t ApiServer::port() const {
  return impl_->http->port();
}
void ApiServer::stop(std::chrono::milliseconds drain) {
  impl_->http->stop(drain);
}

}  // namespace inferno::serve
