#include "serve/serve_metrics.h"

#include <algorithm>
#include <cmath>

namespace inferno::serve {
namespace {

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

// One class's series. Its histograms have the bounds of the metrics they split.
ClassMetrics class_metrics(const Maker& make, request::ServiceClass service_class,
                           SloTarget target) {
  Maker own = make;
  own.labels.emplace_back("service_class", name_of(service_class));
  const MetricName met = {
      "inferno:slo_met_total", "Requests that met a target of their class.", {}};
  const MetricName missed = {
      "inferno:slo_missed_total", "Requests that missed a target of their class.", {}};
  return {
      .target = target,
      .ttft = &make.registry.histogram(
          {"inferno:request_ttft_seconds", "Arrival to first token, by service class.", own.labels},
          kFirstTokenBounds),
      .tpot = &own.gaps("inferno:request_tpot_seconds",
                        "Decode time per token after the first, by service class."),
      .ttft_met = &own.counter_by(met, "target", "ttft"),
      .ttft_missed = &own.counter_by(missed, "target", "ttft"),
      .tpot_met = &own.counter_by(met, "target", "tpot"),
      .tpot_missed = &own.counter_by(missed, "target", "tpot"),
  };
}

std::array<ClassMetrics, request::kServiceClassCount> all_class_metrics(const Maker& make,
                                                                        const SloTargets& targets) {
  using request::ServiceClass;
  std::array<ClassMetrics, request::kServiceClassCount> out;
  for (const ServiceClass each :
       {ServiceClass::kInteractive, ServiceClass::kStandard, ServiceClass::kBatch}) {
    const auto index = static_cast<size_t>(each);
    out[index] = class_metrics(make, each, targets[index]);
  }
  return out;
}

bool is_target(double seconds) {
  return seconds > 0.0 && std::isfinite(seconds);
}

// Counts a time against its target, if there is one.
void count_target(double seconds, double target_s, Counter* met, Counter* missed) {
  if (is_target(target_s)) (seconds <= target_s ? met : missed)->add();
}

}  // namespace

ServeMetrics make_serve_metrics(MetricRegistry& registry, const std::string& model_name,
                                int max_model_len, const SloTargets& targets) {
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
      .classes = all_class_metrics(make, targets),
  };
}

void ChoiceMeter::observe_end(int generated_tokens) {
  std::lock_guard lock(mutex_);
  most_tokens_ = std::max(most_tokens_, generated_tokens);
  if (--running_count_ > 0) return;
  metrics_->request_max_generation_tokens.observe(most_tokens_);
  metrics_->request_params_n.observe(choice_count_);
}

const ClassMetrics& RequestMeter::of_class() const {
  const auto index = shape_.service_class.value_or(request::ServiceClass::kStandard);
  return metrics_->classes[static_cast<size_t>(index)];
}

void RequestMeter::observe(const request::TokenEvent& event, TimePoint now) {
  if (!event.tokens.empty()) {
    if (generated_tokens_ == 0) {
      const double ttft_s = seconds_between(shape_.arrival, now);
      const ClassMetrics& own = of_class();
      metrics_->time_to_first_token.observe(ttft_s);
      own.ttft->observe(ttft_s);
      count_target(ttft_s, own.target.ttft_s, own.ttft_met, own.ttft_missed);
      metrics_->prompt_tokens.add(shape_.prompt_tokens);
    } else {
      metrics_->inter_token_latency.observe(seconds_between(last_token_, now));
    }
    generated_tokens_ += static_cast<int>(event.tokens.size());
    metrics_->generation_tokens.add(static_cast<double>(event.tokens.size()));
    last_token_ = now;
  }
  if (event.finish) observe_end(event, now);
}

void RequestMeter::observe_end(const request::TokenEvent& event, TimePoint now) {
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
      const double tpot_s = stats.decode_s / (generated_tokens_ - 1);
      const ClassMetrics& own = of_class();
      metrics_->time_per_output_token.observe(tpot_s);
      own.tpot->observe(tpot_s);
      count_target(tpot_s, own.target.tpot_s, own.tpot_met, own.tpot_missed);
    }
  } else if (event.error && event.error->fault == Fault::kDeadline) {
    // It waited for its first token until it was of no more use.
    const ClassMetrics& own = of_class();
    if (is_target(own.target.ttft_s)) own.ttft_missed->add();
  }
  metrics_->e2e_latency.observe(seconds_between(shape_.arrival, now));
  metrics_->request_prompt_tokens.observe(shape_.prompt_tokens);
  metrics_->request_generation_tokens.observe(generated_tokens_);
  metrics_->request_params_max_tokens.observe(shape_.max_tokens);
  if (shape_.choices != nullptr) shape_.choices->observe_end(generated_tokens_);
}

}  // namespace inferno::serve
