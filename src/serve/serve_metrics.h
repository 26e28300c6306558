// What the front end counts and times, under vLLM's metric names, for one model.
//
// The engine's gauges (running, waiting, KV usage) are its own, in the same registry and with the
// same labels: model_name and engine="0".
//
// Threads: a RequestMeter belongs to the thread that delivers the request's events; the rest from
//          any thread.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/metrics.h"
#include "request/request.h"

namespace inferno::serve {

// How soon a class of requests wants its first token, and how much later each further one, in
// seconds. Zero or infinity: no target, and nothing is counted for it.
struct SloTarget {
  double ttft_s = 0.0;
  double tpot_s = 0.0;
};
using SloTargets = std::array<SloTarget, request::kServiceClassCount>;  // by ServiceClass

// What is known of one service class. A request without one counts as standard.
struct ClassMetrics {
  SloTarget target;
  Histogram* ttft = nullptr;
  Histogram* tpot = nullptr;
  Counter* ttft_met = nullptr;
  Counter* ttft_missed = nullptr;
  Counter* tpot_met = nullptr;
  Counter* tpot_missed = nullptr;
};

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
  std::array<ClassMetrics, request::kServiceClassCount> classes;
};

// Registers the series of a model. `max_model_len` bounds the buckets of token counts.
ServeMetrics make_serve_metrics(MetricRegistry& registry, const std::string& model_name,
                                int max_model_len, const SloTargets& targets = {});

// What vLLM tells once of all choices of a prompt: how many there are and how long the longest is.
// Threads: the choices may end on different threads.
class ChoiceMeter {
 public:
  // Requires: choice_count >= 1.
  ChoiceMeter(std::shared_ptr<const ServeMetrics> metrics, int choice_count)
      : metrics_(std::move(metrics)), choice_count_(choice_count), running_count_(choice_count) {}

  // One choice ended with as many tokens; the last one makes it count.
  void observe_end(int generated_tokens);

 private:
  const std::shared_ptr<const ServeMetrics> metrics_;
  const int choice_count_;
  std::mutex mutex_;  // guards what follows
  int running_count_;
  int most_tokens_ = 0;
};

// Watches the events of one request.
class RequestMeter {
 public:
  struct Shape {
    int prompt_tokens = 0;
    int max_tokens = 0;
    std::optional<request::ServiceClass> service_class = std::nullopt;
    TimePoint arrival{};
    std::shared_ptr<ChoiceMeter> choices = nullptr;  // of its prompt; may be null
  };

  RequestMeter(std::shared_ptr<const ServeMetrics> metrics, Shape shape)
      : metrics_(std::move(metrics)), shape_(std::move(shape)) {}

  // Counts what the event tells. Call with every event, in order.
  void observe(const request::TokenEvent& event, TimePoint now);

 private:
  void observe_end(const request::TokenEvent& event, TimePoint now);
  const ClassMetrics& of_class() const;

  std::shared_ptr<const ServeMetrics>
      metrics_;  // shared: the last events may come after the server ended
  Shape shape_;
  int generated_tokens_ = 0;
  TimePoint last_token_{};
};

}  // namespace inferno::serve
