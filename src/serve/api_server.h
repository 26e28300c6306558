// The OpenAI-compatible server: routes, keys, and one file per endpoint behind it.
//
//   net::HttpServer -> key? route? -> endpoint: parse -> prompt -> Generation -> answer or stream
//
// Routes: POST /v1/chat/completions, /v1/completions, /tokenize, /detokenize; GET /v1/models,
// /v1/models/{id}, /health, /v1/health, /ping, /version, /metrics, and at / the web page's files.
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
#include "serve/served_model.h"

namespace inferno::serve {

struct ApiOptions {
  net::HttpServerOptions http;
  std::vector<std::string> api_keys;  // Bearer tokens of which one is needed under /v1; none: open
};

class ApiServer {
 public:
  // Starts to serve. kInvalid when no model is given, a name is used twice or a part is missing;
  // else as net::HttpServer::start(). `metrics` is shared with the engines, must outlive the
  // server, and is what GET /metrics prints.
  static Result<std::unique_ptr<ApiServer>> start(ApiOptions options,
                                                  std::vector<ServedModel> models,
                                                  MetricRegistry& metrics);

  // Stops without a drain.
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  // The bound port.
  uint16_t port() const;

  // Accepts no more, lets running requests go on for up to `drain`, then cancels them. The
  // generators must still run meanwhile.
  void stop(std::chrono::milliseconds drain);

 private:
  class Impl;
  explicit ApiServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace inferno::serve
