// Whether the server can do its work: GET /health, /health/live, /health/ready, /v1/health, /ping,
// and the gauge inferno:server_state.
//
//                    loading   ready   draining   failed   stopped
//   /health/live        200     200       200       503      503     whether to restart the process
//   /health/ready       503     200       503       503      503     whether to send it requests
//   /health, /ping      503     200       503       503      503
//
//   {"state": "ready", "models": [{"name": "a", "state": "ready"}, ...]}
//
// Threads: every method may be called from any thread.
#pragma once

#include <atomic>
#include <optional>
#include <string_view>

#include "base/metrics.h"
#include "net/http_server.h"
#include "serve/model_registry.h"
#include "serve/serving_state.h"

namespace inferno::serve {

class ServerHealth {
 public:
  // Both outlive it. Begins as loading.
  ServerHealth(ModelRegistry& models, MetricRegistry& metrics);

  // Loading, ready, draining or stopped, as the owner of the server sees it.
  void set_phase(ServingState phase) { phase_.store(phase); }

  // The phase; failed instead of ready when the engine of a model in memory is broken.
  ServingState state() const;

  // Whether `path` is one that answer() knows.
  static bool is_health_path(std::string_view path);

  // Answers a GET of a health path. Retry-After goes with 503.
  void answer(std::string_view path, net::Responder& responder) const;

  // The answer to a request that needs a model while the server is loading, draining or stopped:
  // 503 with the state and Retry-After. None when it may pass.
  std::optional<net::HttpAnswer> refusal() const;

  // Sets inferno:server_state and inferno:model_state. Call before metrics are printed.
  void publish() const;

 private:
  ModelRegistry& models_;
  MetricRegistry& metrics_;
  std::atomic<ServingState> phase_{ServingState::kLoading};
};

}  // namespace inferno::serve
