// What the engine tells of itself, under vLLM's names (labels model_name and engine).
//
// Threads: written by the engine thread, read by whoever scrapes.
#pragma once

#include <cstdint>
#include <string>

#include "base/metrics.h"
#include "schedule/scheduler.h"

namespace inferno::engine {

class EngineMetrics {
 public:
  // The registry outlives this object.
  EngineMetrics(MetricRegistry& registry, const std::string& model_name);

  struct PoolState {
    int in_use = 0;
    int idle = 0;
    int free = 0;
    int64_t evictions = 0;
  };

  // Records the state after a step (or after the last request left).
  void record_state(const schedule::Scheduler& scheduler, const PoolState& pool);

  // Records a step that computed `tokens` tokens.
  void record_step(int tokens) { iteration_tokens_.observe(tokens); }

 private:
  Gauge& running_;
  Gauge& waiting_;
  Gauge& kv_usage_;
  Gauge& pages_in_use_;
  Gauge& pages_idle_;
  Gauge& pages_free_;
  Counter& prefix_queries_;
  Counter& prefix_hits_;
  Counter& preemptions_;
  Counter& evictions_;
  Histogram& iteration_tokens_;
  schedule::SchedulerStats seen_;
  int64_t seen_evictions_ = 0;
};

}  // namespace inferno::engine
