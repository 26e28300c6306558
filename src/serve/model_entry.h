// A served model with what the endpoints derive from it once.
//
// Requests share it: a model that is taken out of service lives until its last request has ended.
//
// Threads: immutable after construction but for its metrics, which are atomic.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "net/http_server.h"
#include "serve/call.h"
#include "serve/serve_metrics.h"
#include "serve/served_model.h"

namespace inferno::serve {

struct ModelEntry {
  ModelEntry(ServedModel served, MetricRegistry& registry);

  const std::string& name() const { return model.names.front(); }

  ServedModel model;
  CallLimits limits;
  std::shared_ptr<const ServeMetrics> metrics;
};

using EntryPtr = std::shared_ptr<const ModelEntry>;

// The responder as one that also holds `held`: it lives at least as long as anybody may answer.
template <typename Held>
std::shared_ptr<net::Responder> holding(std::shared_ptr<net::Responder> responder, Held held) {
  struct Both {
    Held held;  // destroyed after the responder
    std::shared_ptr<net::Responder> responder;
  };
  auto both = std::make_shared<Both>(Both{std::move(held), std::move(responder)});
  net::Responder* const both_responder = both->responder.get();
  return {std::move(both), both_responder};
}

}  // namespace inferno::serve
