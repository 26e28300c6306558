#include "serve/api_server.h"

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "serve/admin.h"
#include "serve/answer_sharing.h"
#include "serve/api_key.h"
#include "serve/chat_completions.h"
#include "serve/completions.h"
#include "serve/errors.h"
#include "serve/health.h"
#include "serve/in_flight.h"
#include "serve/memory_report.h"
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
  Router(ModelRegistry& models, MetricRegistry& metrics, const SharingOptions& sharing)
      : health_(models, metrics), sharing_(sharing, clock_, metrics) {
    service_.models = &models;
    service_.metrics = &metrics;
  }

  ServerHealth& health() { return health_; }
  const InFlight& in_flight() const { return in_flight_; }

  void set_keys(AccessKeys keys) {
    auto next = std::make_shared<const AccessKeys>(std::move(keys));
    const std::lock_guard lock(keys_mutex_);
    keys_.swap(next);
  }

  // Whatever the header alone can tell.
  std::optional<net::HttpAnswer> refuse(const net::HttpRequest& head) override {
    const std::shared_ptr<const AccessKeys> keys = present_keys();
    if (is_admin_call(head)) {
      if (auto refusal = refuse_admin(keys->admin_key, head)) return refusal;
    } else if (is_guarded(head.path) && !has_api_key(head, keys->api_keys)) {
      return unauthorized();
    }
    if (needs_ready_server(head.path)) {
      if (auto refusal = health_.refusal()) return refusal;
    }
    return refuse_route(head);
  }

  void handle(net::HttpRequest request, std::shared_ptr<net::Responder> responder) override {
    if (needs_ready_server(request.path)) {
      // The end may have begun while the body came.
      if (auto refusal = health_.refusal()) return send_answer(*responder, std::move(*refusal));
      if (request.method == "POST") responder = holding(std::move(responder), in_flight_.take());
    }
    if (is_admin_call(request)) {
      handle_admin(*service_.models, request, std::move(responder));
      return;
    }
    sharing_.handle(std::move(request), std::move(responder),
                    [this](net::HttpRequest whole, std::shared_ptr<net::Responder> shared) {
                      route(std::move(whole), std::move(shared));
                    });
  }

  std::string error_body(int status, const std::string& message,
                         std::string& content_type) override {
    content_type = "application/json";
    return json::serialize(error_object(status, Error{Fault::kInvalid, message, {}}));
  }

 private:
  void route(net::HttpRequest request, std::shared_ptr<net::Responder> responder) const {
    if (request.method == "POST") {
      answer_post(std::move(request), responder);
    } else {
      answer_get(request, *responder);
    }
  }

  // HEAD is GET whose body the connection leaves out.
  void answer_get(const net::HttpRequest& request, net::Responder& responder) const {
    const std::string& path = request.path;
    if (ServerHealth::is_health_path(path)) {
      health_.answer(path, responder);
    } else if (path == "/v1/models") {
      handle_model_list(service_, responder);
    } else if (path.starts_with(kModelPath)) {
      handle_model(service_, std::string_view(path).substr(kModelPath.size()), responder);
    } else if (path == "/version") {
      send_json(responder, {{"version", INFERNO_VERSION}});
    } else if (path == "/metrics") {
      health_.publish();
      publish_memory(process_memory(), *service_.metrics);
      responder.send(200, {{"Content-Type", kMetricsContentType}}, service_.metrics->exposition());
    } else if (path == "/debug/memory") {
      send_json(responder, memory_report(process_memory(), resident_memory(), *service_.metrics));
    } else if (const PageFile* file = find_page_file(path)) {
      responder.send(200,
                     {{"Content-Type", std::string(file->content_type)},
                      {"Content-Security-Policy", std::string(page_security_policy())},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Cache-Control", "no-cache"}},
                     std::string(file->content));
    }
  }

  using ModelHandler = void (*)(const Service&, net::HttpRequest, std::shared_ptr<net::Responder>);

  // The endpoint of a POST that needs a model; null when the path has none.
  static ModelHandler model_handler(std::string_view path) {
    static const std::map<std::string_view, ModelHandler> kHandlers = {
        {"/v1/chat/completions", handle_chat},
        {"/v1/completions", handle_completion},
        {"/tokenize", handle_tokenize},
        {"/detokenize", handle_detokenize}};
    const auto found = kHandlers.find(path);
    return found == kHandlers.end() ? nullptr : found->second;
  }

  void answer_post(net::HttpRequest request,
                   const std::shared_ptr<net::Responder>& responder) const {
    const ModelHandler handler = model_handler(request.path);
    if (handler == nullptr) {
      health_.answer(request.path, *responder);  // /ping
    } else if (service_.models->loads_on_demand()) {
      with_model(std::move(request), responder, handler);
    } else {
      handler(service_, std::move(request), responder);
    }
  }

  // Hands the request on when the model that it names is in memory, where it then stays until the
  // request has ended. A body that names none rightly is the handler's to refuse.
  void with_model(net::HttpRequest request, std::shared_ptr<net::Responder> responder,
                  ModelHandler handler) const {
    const auto body = parse_json_object(request.body);
    const auto name = body ? Service::model_name(*body) : Result<std::string>("");
    if (!body || !name) return handler(service_, std::move(request), std::move(responder));
    auto whole = std::make_shared<net::HttpRequest>(std::move(request));
    const auto go_on = [this, whole, responder, handler](Result<EntryPtr> entry) {
      if (entry) {
        handler(service_, std::move(*whole), holding(responder, std::move(*entry)));
      } else if (entry.error().fault == Fault::kNotFound) {
        handler(service_, std::move(*whole), responder);  // says which name it does not know
      } else {
        send_error(*responder, 503, entry.error());
      }
    };
    // What a client that has gone sent is not kept while the others wait.
    responder->on_disconnect([whole] { *whole = {}; });
    auto present = service_.models->acquire(*name, [responder, go_on](Result<EntryPtr> entry) {
      responder->post([go_on, entry = std::move(entry)] { go_on(entry); });
    });
    if (present) go_on(std::move(*present));
  }

  static bool is_admin_call(const net::HttpRequest& request) {
    return request.method == "POST" && is_admin_path(request.path);
  }

  static bool is_guarded(std::string_view path) {
    return needs_api_key(path) || path.starts_with("/debug/");
  }

  // What makes no sense before the models are there, or when the server is about to end.
  static bool needs_ready_server(std::string_view path) {
    return (path.starts_with("/v1/") && !ServerHealth::is_health_path(path)) ||
           model_handler(path) != nullptr;
  }

  std::shared_ptr<const AccessKeys> present_keys() const {
    const std::lock_guard lock(keys_mutex_);
    return keys_;
  }

  // None when the method has a route at the path; 405 when another method has one, else 404.
  static std::optional<net::HttpAnswer> refuse_route(const net::HttpRequest& head) {
    static const std::set<std::string_view> kGetPaths = {"/v1/models", "/version", "/metrics",
                                                         "/debug/memory"};
    const std::string_view path = head.path;
    const bool has_post = model_handler(path) != nullptr || is_admin_path(path) || path == "/ping";
    const bool has_get = kGetPaths.contains(path) || ServerHealth::is_health_path(path) ||
                         path.starts_with(kModelPath) || find_page_file(path) != nullptr;
    if (head.method == "POST" && has_post) return std::nullopt;
    if ((head.method == "GET" || head.method == "HEAD") && has_get) return std::nullopt;
    if (!has_post && !has_get) {
      return error_answer(404, Error{Fault::kNotFound, "There is nothing at this path.", {}});
    }
    std::string allowed = has_get ? "GET, HEAD" : "POST";
    if (has_get && has_post) allowed += ", POST";
    net::HttpAnswer answer = error_answer(
        405,
        Error{Fault::kInvalid, "This path does not take the request's method: " + allowed, {}});
    answer.headers.push_back({"Allow", allowed});
    return answer;
  }

  Service service_;
  ServerHealth health_;
  InFlight in_flight_;
  mutable std::mutex keys_mutex_;
  std::shared_ptr<const AccessKeys> keys_ = std::make_shared<AccessKeys>();  // guarded by it
  SystemClock clock_;
  AnswerSharing sharing_;  // last: its threads, which use the rest, end first
};

Result<void> check_keys(const AccessKeys& keys) {
  for (const std::string& key : keys.api_keys) {
    if (key.empty()) return fail_field("api-key", "an API key is empty");
  }
  return {};
}

}  // namespace

class ApiServer::Impl {
 public:
  // Where the models live that came with start().
  struct OwnModels {
    explicit OwnModels(MetricRegistry& metrics) : registry({}, nullptr, metrics, clock) {}
    SystemClock clock;
    ModelRegistry registry;
  };

  std::unique_ptr<OwnModels> own_models;
  std::shared_ptr<Router> router;
  std::unique_ptr<net::HttpServer> http;
};

ApiServer::ApiServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ApiServer::~ApiServer() = default;

Result<std::unique_ptr<ApiServer>> ApiServer::start(ApiOptions options, ModelRegistry& models,
                                                    MetricRegistry& metrics) {
  AccessKeys keys{std::move(options.api_keys), std::move(options.admin_key)};
  if (auto checked = check_keys(keys); !checked) return std::unexpected(checked.error());
  // One who joins late is sent what there was in one piece, which must fit his connection's buffer
  // with room to spare.
  SharingOptions sharing;
  sharing.share_identical = options.deduplicate_requests;
  sharing.ttl = options.idempotency_ttl;
  sharing.max_answer_bytes =
      std::min(sharing.max_answer_bytes, options.http.max_buffered_bytes / 2);
  auto impl = std::make_unique<Impl>();
  impl->router = std::make_shared<Router>(models, metrics, sharing);
  impl->router->set_keys(std::move(keys));
  auto http = net::HttpServer::start(options.http, impl->router);
  if (!http) return std::unexpected(http.error());
  impl->http = std::move(*http);
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(impl)));
}

Result<std::unique_ptr<ApiServer>> ApiServer::start(ApiOptions options,
                                                    std::vector<ServedModel> models,
                                                    MetricRegistry& metrics) {
  if (models.empty()) return fail(Fault::kInvalid, "no model to serve");
  auto own = std::make_unique<Impl::OwnModels>(metrics);
  for (ServedModel& model : models) {
    if (auto added = own->registry.add(std::move(model)); !added) {
      return std::unexpected(added.error());
    }
  }
  auto server = start(std::move(options), own->registry, metrics);
  if (!server) return server;
  (*server)->impl_->own_models = std::move(own);
  (*server)->set_ready();
  return server;
}

uint16_t ApiServer::port() const {
  return impl_->http->port();
}

void ApiServer::set_ready() {
  impl_->router->health().set_phase(ServingState::kReady);
}

Result<void> ApiServer::set_keys(AccessKeys keys) {
  if (auto checked = check_keys(keys); !checked) return checked;
  impl_->router->set_keys(std::move(keys));
  return {};
}

void ApiServer::stop(std::chrono::milliseconds drain) {
  const auto deadline = std::chrono::steady_clock::now() + drain;
  impl_->router->health().set_phase(ServingState::kDraining);
  impl_->router->in_flight().wait_until_none(drain);
  // What is answered already may still be on its way to a slow client.
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  impl_->http->stop(std::max(left, std::chrono::milliseconds(0)));
  impl_->router->health().set_phase(ServingState::kStopped);
}

}  // namespace inferno::serve
