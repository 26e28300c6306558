#include "serve/serve_metrics.h"

#include <algorithm>

namespace inferno::serve {
namespace {

using Seconds = std::chrono::duration<double>;

// vLLM's bounds, so that its dashboards and alerts fit.
constexpr std::array kFirstTokenBounds = {.001, .005, .01, .02,  .04,  .06,  .08, .1,
                                          .25,  .5,   .75, 1.,   2.5,  5.,   7.5, 10.,
                                          20.,  40.,  80., 160., 640., 2560.};
constexpr std::array kTokenBounds = {.01, .025, .05, .075, .1,  .15, .2,  .3,  .4, .5,
                                     .75, 1.,   2.5, 5.,   7.5, 10., 20., 40., 80.};
constexpr std::array kRequestBounds = {.3,  .5,  .8,  1.,  1.5,  2.,   2.5,  5.,   10.,   15.,  20.,
                                       30., 40., 50., 60., 120., 240., 480., 960., 1920., 7680.};
constexpr std::array kChoiceBounds = {1., 2., 5., 10., 20.};

// Makes series of one model: all with its labels, token counts with its buckets.
struct Maker {
  MetricRegistry& registry;
  MetricLabels labels;
  std::vector<double> token_bounds;

  Counter& counter(const char* name, const char* help) const {
    return registry.counter({name, help, labels});
  }
  Counter& counter_by(const MetricName& name, const char* label, std::string_view value) const {
    MetricLabels more = labels;
    more.emplace_back(label, value);
    return registry.counter({name.name, name.help, more});
  }
  Histogram& seconds(const char* name, const char* help) const {
    return registry.histogram({name, help, labels}, kRequestBounds);
  }
  Histogram& gaps(const char* name, const char* help) const {
    return registry.histogram({name, help, labels}, kTokenBounds);
  }
  Histogram& tokens(const char* name, const char* help) const {
    return registry.histogram({name, help, labels}, token_bounds);
  }
};

std::array<Counter*, 4> success_counters(const Maker& make) {
  using request::FinishReason;
  std::array<Counter*, 4> out{};
  for (FinishReason reason :
       {FinishReason::kStop, FinishReason::kLength, FinishReason::kAbort, FinishReason::kError}) {
    out[static_cast<size_t>(reason)] =
        &make.counter_by({"vllm:request_success_total", "Requests that ended, by reason.", {}},
                         "finished_reason", name_of(reason));
  }
  return out;
}

}  // namespace

ServeMetrics make_serve_metrics(MetricRegistry& registry, const std::string& model_name,
                                int max_model_len) {
  const Maker make{
      registry, {{"model_name", model_name}, {"engine", "0"}}, one_two_five_bounds(max_model_len)};
  const MetricName by_source = {
      "vllm:prompt_tokens_by_source_total", "Prompt tokens, by where their KV came from.", {}};
  return {
      .prompt_tokens =
          make.counter("vllm:prompt_tokens_total", "Prompt tokens of started requests."),
      .prompt_tokens_cached = make.counter("vllm:prompt_tokens_cached_total",
                                           "Prompt tokens found in the prefix cache."),
      .prompt_tokens_computed_here = make.counter_by(by_source, "source", "local_compute"),
      .prompt_tokens_from_cache = make.counter_by(by_source, "source", "local_cache_hit"),
      .generation_tokens = make.counter("vllm:generation_tokens_total", "Tokens generated."),
      .request_success = success_counters(make),
      .request_prompt_tokens =
          make.tokens("vllm:request_prompt_tokens", "Prompt tokens a request."),
      .request_generation_tokens =
          make.tokens("vllm:request_generation_tokens", "Generated tokens a request."),
      .request_max_generation_tokens = make.tokens("vllm:request_max_num_generation_tokens",
                                                   "Most tokens generated for one choice."),
      .request_params_max_tokens =
          make.tokens("vllm:request_params_max_tokens", "max_tokens of requests."),
      .request_prefill_computed_tokens = make.tokens("vllm:request_prefill_kv_computed_tokens",
                                                     "Prompt tokens computed, not found cached."),
      .request_params_n = registry.histogram(
          {"vllm:request_params_n", "n of requests.", make.labels}, kChoiceBounds),
      .time_to_first_token = registry.histogram(
          {"vllm:time_to_first_token_seconds", "Arrival to first token.", make.labels},
          kFirstTokenBounds),
      .inter_token_latency =
          make.gaps("vllm:inter_token_latency_seconds", "Time between a request's outputs."),
      .time_per_output_token = make.gaps("vllm:request_time_per_output_token_seconds",
                                         "Decode time per token after the first, a request."),
      .e2e_latency = make.seconds("vllm:e2e_request_latency_seconds", "Arrival to last token."),
      .queue_time = make.seconds("vllm:request_queue_time_seconds", "Arrival to first scheduling."),
      .inference_time =
          make.seconds("vllm:request_inference_time_seconds", "First scheduling to last token."),
      .prefill_time =
          make.seconds("vllm:request_prefill_time_seconds", "First scheduling to first token."),
      .decode_time = make.seconds("vllm:request_decode_time_seconds", "First to last token."),
  };
}

void RequestMeter::observe(const request::TokenEvent& event,
                           std::chrono::steady_clock::time_point now) {
  if (!event.tokens.empty()) {
    if (generated_tokens_ == 0) {
      metrics_->time_to_first_token.observe(Seconds(now - shape_.arrival).count());
      metrics_->prompt_tokens.add(shape_.prompt_tokens);
    } else {
      metrics_->inter_token_latency.observe(Seconds(now - last_token_).count());
    }
    generated_tokens_ += static_cast<int>(event.tokens.size());
    metrics_->generation_tokens.add(static_cast<double>(event.tokens.size()));
    last_token_ = now;
  }
  if (event.finish) observe_end(event, now);
}

void RequestMeter::observe_end(const request::TokenEvent& event,
                               std::chrono::steady_clock::time_point now) {
  metrics_->request_success[static_cast<size_t>(*event.finish)]->add();
  const request::RequestStats& stats = event.stats;
  const int cached = std::clamp(stats.cached_tokens, 0, shape_.prompt_tokens);
  const int computed = shape_.prompt_tokens - cached;
  if (generated_tokens_ > 0) {
    metrics_->prompt_tokens_cached.add(cached);
    metrics_->prompt_tokens_from_cache.add(cached);
    metrics_->prompt_tokens_computed_here.add(computed);
    metrics_->request_prefill_computed_tokens.observe(computed);
    metrics_->queue_time.observe(stats.queue_s);
    metrics_->prefill_time.observe(stats.prefill_s);
    metrics_->decode_time.observe(stats.decode_s);
    metrics_->inference_time.observe(stats.prefill_s + stats.decode_s);
    if (generated_tokens_ > 1) {
      metrics_->time_per_output_token.observe(stats.decode_s / (generated_tokens_ - 1));
    }
  }
  metrics_->e2e_latency.observe(Seconds(now - shape_.arrival).count());
  metrics_->request_prompt_tokens.observe(shape_.prompt_tokens);
  metrics_->request_generation_tokens.observe(generated_tokens_);
  metrics_->request_max_generation_tokens.observe(generated_tokens_);
  metrics_->request_params_max_tokens.observe(shape_.max_tokens);
  metrics_->request_params_n.observe(shape_.choice_count);
}

}  // namespace inferno::serve
