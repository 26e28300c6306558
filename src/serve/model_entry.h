// A served model with what the endpoints derive from it once.
//
// Threads: immutable after construction but for its metrics, which are atomic.
#pragma once

#include <memory>
#include <string>

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

}  // namespace inferno::serve
