// What the front end counts and times, under vLLM's metric names, for one model.
//
// The engine's gauges (running, waiting, KV usage) are its own, in the same registry and with the
// same labels: model_name and engine="0".
//
// Threads: a RequestMeter belongs to the thread that delivers the request's events; the rest from
//          any thread.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "base/metrics.h"
#include "request/request.h"

namespace inferno::serve {

// The series of one model; they live as long as the registry.
struct ServeMetrics {
  Counter& prompt_tokens;
  Counter& prompt_tokens_cached;
  Counter& prompt_tokens_computed_here;
  Counter& prompt_tokens_from_cache;
  Counter& generation_tokens;
  std::array<Counter*, 4> request_success;  // by FinishReason
  Histogram& request_prompt_tokens;
  Histogram& request_generation_tokens;
  Histogram& request_max_generation_tokens;
  Histogram& request_params_max_tokens;
  Histogram& request_prefill_computed_tokens;
  Histogram& request_params_n;
  Histogram& time_to_first_token;
  Histogram& inter_token_latency;
  Histogram& time_per_output_token;
  Histogram& e2e_latency;
  Histogram& queue_time;
  Histogram& inference_time;
  Histogram& prefill_time;
  Histogram& decode_time;
};

// Registers the series of a model. `max_model_len` bounds the buckets of token counts.
ServeMetrics make_serve_metrics(MetricRegistry& registry, const std::string& model_name,
                                int max_model_len);

// Watches the events of one request.
class RequestMeter {
 public:
  struct Shape {
    int prompt_tokens = 0;
    int max_tokens = 0;
    int choice_count = 1;
    std::chrono::steady_clock::time_point arrival{};
  };

  RequestMeter(std::shared_ptr<const ServeMetrics> metrics, Shape shape)
      : metrics_(std::move(metrics)), shape_(shape) {}

  // Counts what the event tells. Call with every event, in order.
  void observe(const request::TokenEvent& event, std::chrono::steady_clock::time_point now);

 private:
  void observe_end(const request::TokenEvent& event, std::chrono::steady_clock::time_point now);

  std::shared_ptr<const ServeMetrics>
      metrics_;  // shared: the last events may come after the server ended
  Shape shape_;
  int generated_tokens_ = 0;
  std::chrono::steady_clock::time_point last_token_{};
};

}  // namespace inferno::serve
