#include "engine/engine_metrics.h"

namespace inferno::engine {
namespace {

// vLLM's buckets (facts of vllm/v1/metrics/loggers.py): powers of two from 8 on.
constexpr std::array<double, 13> kIterationBounds = {1,   8,    16,   32,   64,   128,  256,
                                                     512, 1024, 2048, 4096, 8192, 16384};

}  // namespace

class EngineMetrics::Maker {
 public:
  using Label = std::pair<std::string, std::string>;

  Maker(MetricRegistry& registry, const std::string& model_name)
      : registry_(registry), model_name_(model_name) {}

  Gauge& vllm_gauge(const char* name, const char* help) const {
    return registry_.gauge({std::string("vllm:") + name, help, vllm_labels()});
  }
  Gauge& vllm_gauge(const char* name, const char* help, const Label& label) const {
    MetricLabels labels = vllm_labels();
    labels.push_back(label);
    return registry_.gauge({std::string("vllm:") + name, help, std::move(labels)});
  }
  Counter& vllm_plain_counter(const char* name, const char* help,
                              const std::optional<Label>& label = std::nullopt) const {
    MetricLabels labels = vllm_labels();
    if (label) labels.push_back(*label);
    return registry_.counter({std::string("vllm:") + name, help, std::move(labels)});
  }
  Followed vllm_counter(const char* name, const char* help) const {
    return {registry_.counter({std::string("vllm:") + name, help, vllm_labels()})};
  }
  Histogram& vllm_histogram(const char* name, const char* help,
                            std::span<const double> bounds) const {
    return registry_.histogram({std::string("vllm:") + name, help, vllm_labels()}, bounds);
  }
  Gauge& gauge(const char* name, const char* help) const {
    return registry_.gauge({std::string("inferno:") + name, help, labels()});
  }
  Gauge& gauge(const char* name, const char* help, const Label& label) const {
    return registry_.gauge({std::string("inferno:") + name, help, labels(label)});
  }
  Counter& counter(const char* name, const char* help) const {
    return registry_.counter({std::string("inferno:") + name, help, labels()});
  }
  Counter& counter(const char* name, const char* help, const Label& label) const {
    return registry_.counter({std::string("inferno:") + name, help, labels(label)});
  }

  MetricRegistry& registry() const { return registry_; }
  const std::string& model_name() const { return model_name_; }

 private:
  MetricLabels vllm_labels() const { return {{"model_name", model_name_}, {"engine", "0"}}; }
  MetricLabels labels() const { return {{"model_name", model_name_}}; }
  MetricLabels labels(const Label& label) const { return {{"model_name", model_name_}, label}; }

  MetricRegistry& registry_;
  const std::string& model_name_;
};

EngineMetrics::EngineMetrics(MetricRegistry& registry, const std::string& model_name)
    : EngineMetrics(Maker(registry, model_name)) {}

EngineMetrics::EngineMetrics(const Maker& make)
    : running_(make.vllm_gauge("num_requests_running", "Requests in the running batch.")),
      waiting_(make.vllm_gauge("num_requests_waiting", "Requests waiting to be admitted.")),
      waiting_for_capacity_(make.vllm_gauge("num_requests_waiting_by_reason",
                                            "Requests waiting to be admitted, by reason.",
                                            {"reason", "capacity"})),
      waiting_deferred_(make.vllm_gauge("num_requests_waiting_by_reason",
                                        "Requests waiting to be admitted, by reason.",
                                        {"reason", "deferred"})),
      kv_usage_(make.vllm_gauge("kv_cache_usage_perc", "Share of KV pages in use, 0 to 1.")),
      pages_in_use_(make.gauge("kv_pages", "KV pages by state.", {"state", "in_use"})),
      pages_named_(make.gauge("kv_pages_named",
                              "KV pages in use whose content can be found by other requests.")),
      pages_idle_(make.gauge("kv_pages", "KV pages by state.", {"state", "idle"})),
      pages_free_(make.gauge("kv_pages", "KV pages by state.", {"state", "free"})),
      prefix_queries_(make.vllm_counter("prefix_cache_queries_total",
                                        "Prompt tokens looked up in the prefix cache.")),
      prefix_hits_(
          make.vllm_counter("prefix_cache_hits_total", "Prompt tokens found in the prefix cache.")),
      preemptions_(
          make.vllm_counter("num_preemptions_total",
                            "Sequences that gave their pages back and were computed again.")),
      evictions_{
          make.counter("kv_evictions_total", "Cached KV pages whose content was forgotten.")},
      evicted_again_{make.counter("kv_evicted_wanted_again_total",
                                  "Blocks computed again soon after they were evicted.")},
      block_hits_{make.counter("kv_block_hits_total", "Blocks that an admission found.")},
      block_misses_{make.counter("kv_block_misses_total", "Blocks that an admission lacked.")},
      iteration_tokens_(make.vllm_histogram("iteration_tokens_total", "Tokens computed in a step.",
                                            kIterationBounds)),
      deferred_{make.counter("deferred_admissions_total",
                             "Admissions put off because another request computes the block.")},
      forks_{make.counter("forks_total",
                          "Choices that took the prompt's pages of a running request.")},
      tail_copies_{make.counter("tail_copies_total",
                                "Admissions that began with a copy of a partly shared page.")},
      promotions_{
          make.counter("aged_promotions_total", "Requests admitted because they waited too long.")},
      restricted_steps_{
          make.counter("restricted_steps_total",
                       "Steps whose prefill was cut so that running streams keep their pace.")},
      fairness_spread_(make.gauge("fairness_spread_tokens",
                                  "Distance between the virtual counters of waiting clients.")),
      step_time_error_(make.gauge("step_time_prediction_error",
                                  "Relative absolute error of predicted step times, decayed.")),
      output_length_error_(make.gauge("output_length_prediction_error",
                                      "Relative absolute error of predicted answer lengths.")),
      predicted_step_seconds_(
          make.gauge("predicted_step_seconds", "What the last step was predicted to take.")),
      steps_(make.counter("steps_total", "Steps computed.")),
      lost_events_(make.counter("lost_events_total",
                                "Last events that could not be told for want of memory.")),
      registry_(make.registry()),
      model_name_(make.model_name()) {
  make_families(make);
}

// The metrics of which there is one for each cause, class or part.
void EngineMetrics::make_families(const Maker& make) {
  for (int cause = 0; cause < kv::kHitCauseCount; ++cause) {
    const std::string name(kv::name_of(static_cast<kv::HitCause>(cause)));
    hits_by_cause_.push_back({make.counter(
        "kv_hit_tokens_total", "Tokens that were not computed, by why.", {"cause", name})});
  }
  for (const char* cause : {"memory", "slack", "feedback", "lane"}) {
    preemptions_by_cause_.push_back(
        {make.counter("preemptions_total", "Preemptions by cause.", {"cause", cause})});
  }
  for (int i = 0; i < request::kServiceClassCount; ++i) {
    const std::string name(request::name_of(static_cast<request::ServiceClass>(i)));
    const auto of_class = [&](const char* metric, const char* help) {
      return Followed{make.counter(metric, help, {"service_class", name})};
    };
    classes_.push_back(
        {.admitted = of_class("admitted_requests_total", "Requests admitted."),
         .wait_seconds = of_class("wait_seconds_total", "Seconds from arrival to admission."),
         .ttft_misses = of_class("ttft_misses_total", "First tokens later than the target."),
         .tpot_misses = of_class("tpot_misses_total", "Answers slower than the target.")});
  }
  const char* const parts[] = {"schedule", "forward", "sample", "emit", "draft"};
  for (size_t part = 0; part < step_seconds_.size(); ++part) {
    step_seconds_[part] =
        &make.counter("step_seconds_total", "Time of steps by part.", {"part", parts[part]});
  }
}

void EngineMetrics::record_state(const schedule::Scheduler& scheduler, const kv::BlockPool& pool) {
  running_.set(scheduler.running_count());
  waiting_.set(scheduler.waiting_count() + scheduler.deferred_count());
  waiting_for_capacity_.set(scheduler.waiting_count());
  waiting_deferred_.set(scheduler.deferred_count());
  record_pool(pool);
  const schedule::SchedulerStats& now = scheduler.stats();
  prefix_queries_.follow(now.prefix_query_tokens);
  prefix_hits_.follow(now.prefix_hit_tokens);
  preemptions_.follow(now.preemption_count);
  const std::array by_cause = {now.memory_preemptions, now.slack_preemptions,
                               now.feedback_preemptions, now.lane_preemptions};
  for (size_t i = 0; i < by_cause.size(); ++i)
    preemptions_by_cause_[i].follow(by_cause[i]);
  record_classes(now);
  deferred_.follow(now.deferred_count);
  forks_.follow(now.fork_count);
  tail_copies_.follow(now.tail_copy_count);
  promotions_.follow(now.aged_promotions);
  restricted_steps_.follow(now.restricted_steps);
  fairness_spread_.set(static_cast<double>(now.fairness_spread_tokens));
  step_time_error_.set(now.step_time_error);
  output_length_error_.set(now.output_length_error);
  predicted_step_seconds_.set(now.last_step_predicted_s);
}

void EngineMetrics::record_pool(const kv::BlockPool& pool) {
  const kv::BlockPoolStats& now = pool.stats();
  const int in_use = pool.in_use_count();
  pages_in_use_.set(in_use);
  pages_named_.set(now.in_use_named_pages);
  pages_idle_.set(now.idle_pages);
  pages_free_.set(now.free_pages);
  kv_usage_.set(static_cast<double>(in_use) / pool.capacity());
  evictions_.follow(now.evicted_blocks);
  evicted_again_.follow(now.evicted_wanted_again_blocks);
  block_hits_.follow(now.hit_blocks);
  block_misses_.follow(now.miss_blocks);
  for (size_t cause = 0; cause < hits_by_cause_.size(); ++cause)
    hits_by_cause_[cause].follow(now.hit_tokens_by_cause[cause]);
}

void EngineMetrics::record_classes(const schedule::SchedulerStats& now) {
  for (size_t i = 0; i < classes_.size(); ++i) {
    classes_[i].admitted.follow(now.classes[i].admitted);
    classes_[i].wait_seconds.follow(now.classes[i].wait_sum_s);
    classes_[i].ttft_misses.follow(now.classes[i].ttft_misses);
    classes_[i].tpot_misses.follow(now.classes[i].tpot_misses);
  }
}

void EngineMetrics::record_step(const StepTimes& times) {
  steps_.add();
  step_seconds_[0]->add(seconds_between(times.begin, times.scheduled));
  step_seconds_[1]->add(seconds_between(times.scheduled, times.computed));
  step_seconds_[2]->add(seconds_between(times.computed, times.sampled));
  step_seconds_[3]->add(seconds_between(times.sampled, times.emitted));
  step_seconds_[4]->add(seconds_between(times.emitted, times.guessed));
}

void EngineMetrics::expect_drafts(int most) {
  const Maker make(registry_, model_name_);
  drafts_ = &make.vllm_plain_counter("spec_decode_num_drafts_total",
                                     "Times a sequence computed draft tokens in a step.");
  draft_tokens_ =
      &make.vllm_plain_counter("spec_decode_num_draft_tokens_total", "Draft tokens computed.");
  accepted_tokens_ = &make.vllm_plain_counter("spec_decode_num_accepted_tokens_total",
                                              "Draft tokens that were what was chosen.");
  draft_pages_.emplace(make.gauge("draft_kv_pages_in_use", "KV pages that a draft model holds."));
  accepted_by_position_.clear();
  for (int position = 0; position < most; ++position) {
    accepted_by_position_.push_back(
        &make.vllm_plain_counter("spec_decode_num_accepted_tokens_per_pos_total",
                                 "Draft tokens that were what was chosen, by their place.",
                                 Maker::Label{"position", std::to_string(position)}));
  }
}

void EngineMetrics::record_draft_pages(int pages) {
  if (draft_pages_) draft_pages_->set(pages);
}

void EngineMetrics::record_drafts(int drafts, int accepted) {
  drafts_->add();
  draft_tokens_->add(drafts);
  if (accepted > 0) accepted_tokens_->add(accepted);
  for (size_t position = 0; position < static_cast<size_t>(accepted); ++position)
    accepted_by_position_[position]->add();
}

}  // namespace inferno::engine
