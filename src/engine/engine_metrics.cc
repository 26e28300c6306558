#include "engine/engine_metrics.h"

#include <array>

namespace inferno::engine {
namespace {

// vLLM's buckets (facts of vllm/v1/metrics/loggers.py): powers of two from 8 on.
constexpr std::array<double, 13> kIterationBounds = {1,   8,    16,   32,   64,   128,  256,
                                                     512, 1024, 2048, 4096, 8192, 16384};

}  // namespace

EngineMetrics::EngineMetrics(MetricRegistry& registry, const std::string& model_name)
    : running_(registry.gauge({"vllm:num_requests_running",
                               "Requests in the running batch.",
                               {{"model_name", model_name}, {"engine", "0"}}})),
      waiting_(registry.gauge({"vllm:num_requests_waiting",
                               "Requests waiting to be admitted.",
                               {{"model_name", model_name}, {"engine", "0"}}})),
      kv_usage_(registry.gauge({"vllm:kv_cache_usage_perc",
                                "Share of KV pages in use, 0 to 1.",
                                {{"model_name", model_name}, {"engine", "0"}}})),
      pages_in_use_(registry.gauge({"inferno:kv_pages",
                                    "KV pages by state.",
                                    {{"model_name", model_name}, {"state", "in_use"}}})),
      pages_idle_(registry.gauge({"inferno:kv_pages",
                                  "KV pages by state.",
                                  {{"model_name", model_name}, {"state", "idle"}}})),
      pages_free_(registry.gauge({"inferno:kv_pages",
                                  "KV pages by state.",
                                  {{"model_name", model_name}, {"state", "free"}}})),
      prefix_queries_(registry.counter({"vllm:prefix_cache_queries_total",
                                        "Prompt tokens looked up in the prefix cache.",
                                        {{"model_name", model_name}, {"engine", "0"}}})),
      prefix_hits_(registry.counter({"vllm:prefix_cache_hits_total",
                                     "Prompt tokens found in the prefix cache.",
                                     {{"model_name", model_name}, {"engine", "0"}}})),
      preemptions_(
          registry.counter({"vllm:num_preemptions_total",
                            "Sequences that gave their pages back and were computed again.",
                            {{"model_name", model_name}, {"engine", "0"}}})),
      evictions_(registry.counter({"inferno:kv_evictions_total",
                                   "Cached KV pages whose content was forgotten.",
                                   {{"model_name", model_name}}})),
      iteration_tokens_(registry.histogram({"vllm:iteration_tokens_total",
                                            "Tokens computed in a step.",
                                            {{"model_name", model_name}, {"engine", "0"}}},
                                           kIterationBounds)) {}

void EngineMetrics::record_state(const schedule::Scheduler& scheduler, const PoolState& pool) {
  running_.set(scheduler.running_count());
  waiting_.set(scheduler.waiting_count());
  pages_in_use_.set(pool.in_use);
  pages_idle_.set(pool.idle);
  pages_free_.set(pool.free);
  kv_usage_.set(static_cast<double>(pool.in_use) / (pool.in_use + pool.idle + pool.free));
  const schedule::SchedulerStats& now = scheduler.stats();
  prefix_queries_.add(static_cast<double>(now.prefix_query_tokens - seen_.prefix_query_tokens));
  prefix_hits_.add(static_cast<double>(now.prefix_hit_tokens - seen_.prefix_hit_tokens));
  preemptions_.add(static_cast<double>(now.preemption_count - seen_.preemption_count));
  evictions_.add(static_cast<double>(pool.evictions - seen_evictions_));
  seen_ = now;
  seen_evictions_ = pool.evictions;
}

}  // namespace inferno::engine
