// The OpenAI-compatible server: routes, keys, and one file per endpoint behind it.
//
//   net::HttpServer -> key? state? route? -> body -> endpoint: parse -> prompt -> Generation
//                      before the body is read                         -> answer or stream
//
// Routes: POST /v1/chat/completions, /v1/completions, /tokenize, /detokenize, /v1/models/load,
// /v1/models/unload; GET /v1/models, /v1/models/{id}, the paths of serve/health.h, /version,
// /metrics, /debug/memory, and at / the web page's files.
//
// It listens from the start: while models load and while it drains, what needs a model is answered
// 503 with the state and Retry-After.
//
// Threads: the server owns its I/O threads; start() and stop() are called from one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "net/http_server.h"
#include "serve/model_registry.h"
#include "serve/served_model.h"

namespace inferno::serve {

// Bearer tokens, each not empty.
struct AccessKeys {
  std::vector<std::string> api_keys;  // one of them is needed under /v1; none: open
  std::string admin_key;              // needed to load and unload models; none: nobody may
};

struct ApiOptions {
  net::HttpServerOptions http;
  std::vector<std::string> api_keys;  // as AccessKeys has them
  std::string admin_key;
  bool deduplicate_requests = false;  // identical deterministic requests in flight: computed once
  std::chrono::milliseconds idempotency_ttl{600'000};  // how long a key gives its answer again
};

class ApiServer {
 public:
  // Starts to serve what `models` holds, now and later; refuses requests until set_ready().
  // kInvalid when a key is empty; else as net::HttpServer::start(). `metrics` is shared with the
  // engines and is what GET /metrics prints. Both must outlive the server.
  static Result<std::unique_ptr<ApiServer>> start(ApiOptions options, ModelRegistry& models,
                                                  MetricRegistry& metrics);

  // Serves these models and no others, ready at once. kInvalid also when no model is given, a name
  // is used twice or a part is missing.
  static Result<std::unique_ptr<ApiServer>> start(ApiOptions options,
                                                  std::vector<ServedModel> models,
                                                  MetricRegistry& metrics);

  // Stops without a drain.
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  // The bound port.
  uint16_t port() const;

  // The models that were to be there at the start are: requests are taken from now on.
  void set_ready();

  // Keys that count from the next request on. kInvalid when one is empty: the old ones stay.
  Result<void> set_keys(AccessKeys keys);

  // Refuses further requests, lets running ones go on for up to `drain` while health still answers,
  // then cancels them and closes. The generators must still run meanwhile.
  void stop(std::chrono::milliseconds drain);

 private:
  class Impl;
  explicit ApiServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace inferno::serve
