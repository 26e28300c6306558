#include "app/simulation.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "load/prompt_source.h"
#include "load/statistics.h"

namespace inferno::app {
namespace {

// Token ids only have to be equal or different; this many make chance prefixes unlikely.
constexpr int kPromptVocabulary = 50000;

// What is remembered of one request.
struct Outcome {
  float ttft_s = -1.0f;
  float tpot_s = -1.0f;
  double end_s = 0.0;  // of its last event, from the start
  int32_t generated = 0;
  uint32_t class_index = 0;
  uint32_t client_index = 0;
};

class Player final : public request::EventSink {
 public:
  Player(const load::Plan& plan, const SimulationOptions& options)
      : plan_(plan),
        options_(options),
        model_(options.cost, clock_, options.seed),
        core_({.model = model_,
               .tokenizer = *tokenizer_,
               .table = kernel::best_table(),
               .pool = pool_,
               .metrics = metrics_,
               .clock = clock_},
              options.core),
        start_(clock_.now()) {}

  Result<SimulationResult> play() {
    const auto real_start = std::chrono::steady_clock::now();
    const size_t count = plan_.conversations.size() * static_cast<size_t>(options_.repeats);
    outcomes_.resize(count);
    size_t next = 0;
    while (next < count || !core_.idle()) {
      if (core_.idle()) clock_.advance_to(arrival_of(next));
      for (; next < count && arrival_of(next) <= clock_.now(); ++next) {
        if (auto started = start_request(next); !started) return std::unexpected(started.error());
      }
      core_.step();
      core_.forget_finished_clients();
      const int waiting = core_.scheduler().waiting_count() + core_.scheduler().deferred_count();
      peak_waiting_ = std::max<int64_t>(peak_waiting_, waiting);
    }
    return summarize(std::chrono::duration<double>(std::chrono::steady_clock::now() - real_start));
  }

  void on_event(request::TokenEvent event) override {
    Outcome& outcome = outcomes_[event.id.value - 1];
    outcome.generated += static_cast<int32_t>(event.tokens.size());
    if (!event.finish) return;
    ++finished_;
    outcome.end_s = seconds_between(start_, clock_.now());
    const request::RequestStats& stats = event.stats;
    outcome.ttft_s = static_cast<float>(stats.queue_s + stats.prefill_s);
    if (outcome.generated > 1)
      outcome.tpot_s = static_cast<float>(stats.decode_s / (outcome.generated - 1));
  }

 private:
  const load::Conversation& conversation(size_t index) const {
    return plan_.conversations[index % plan_.conversations.size()];
  }

  TimePoint arrival_of(size_t index) const {
    const size_t round = index / plan_.conversations.size();
    const double length_s = plan_.conversations.back().at_s;
    const double at_s = conversation(index).at_s + length_s * static_cast<double>(round);
    return after_seconds(start_, at_s * options_.time_scale);
  }

  Result<void> start_request(size_t index) {
    const load::Conversation& source = conversation(index);
    const load::PromptSource prompts(options_.seed + index / plan_.conversations.size(),
                                     kPromptVocabulary);
    request::Request request;
    request.id = {index + 1};
    request.arrival = arrival_of(index);
    prompts.append_tokens(source.shared, request.prompt);
    prompts.append_tokens(source.turns.front().segments, request.prompt);
    request.sampling.temperature = 0.0f;
    request.sampling.ignore_eos = true;
    request.sampling.max_tokens = std::max(1, source.turns.front().output_tokens);
    const int64_t whole = static_cast<int64_t>(request.prompt.size()) + request.sampling.max_tokens;
    if (request.prompt.empty() || whole > options_.core.max_model_len) {
      return fail_field("max-model-len",
                        "request {} has {} tokens with its answer, the limit is {}", index, whole,
                        options_.core.max_model_len);
    }
    Outcome& outcome = outcomes_[index];
    outcome.class_index = static_cast<uint32_t>(source.class_index);
    outcome.client_index = static_cast<uint32_t>(source.client_index);
    if (!plan_.classes.empty()) {
      request.service_class =
          request::service_class_named(plan_.classes[static_cast<size_t>(source.class_index)]);
    }
    if (!plan_.clients.empty())
      request.client = plan_.clients[static_cast<size_t>(source.client_index)];
    core_.start(std::move(request), std::shared_ptr<request::EventSink>(self_));
    return {};
  }

  Result<SimulationResult> summarize(std::chrono::duration<double> real) const {
    if (finished_ != static_cast<int64_t>(outcomes_.size())) {
      return fail(Fault::kInternal, "{} of {} requests had a last event", finished_,
                  outcomes_.size());
    }
    if (core_.pages().in_use_count() != 0) {
      return fail(Fault::kInternal, "{} pages are in use at the end", core_.pages().in_use_count());
    }
    SimulationResult result;
    result.requests = finished_;
    result.steps = model_.step_count();
    result.computed_tokens = model_.computed_tokens();
    result.virtual_s = seconds_between(start_, clock_.now());
    result.real_s = real.count();
    const schedule::SchedulerStats& stats = core_.scheduler().stats();
    result.preemptions = stats.preemption_count;
    result.hit_share = stats.prefix_query_tokens == 0
                           ? 0.0
                           : static_cast<double>(stats.prefix_hit_tokens) /
                                 static_cast<double>(stats.prefix_query_tokens);
    result.peak_waiting = peak_waiting_;
    for (const Outcome& outcome : outcomes_)
      result.generated_tokens += outcome.generated;
    const auto of_all = [](const Outcome&) { return true; };
    if (plan_.classes.empty()) {
      result.classes.push_back(group("all", request::ServiceClass::kStandard, of_all));
    }
    for (size_t i = 0; i < plan_.classes.size(); ++i) {
      const auto named = request::service_class_named(plan_.classes[i]);
      result.classes.push_back(
          group(plan_.classes[i], named.value_or(request::ServiceClass::kStandard),
                [i](const Outcome& outcome) { return outcome.class_index == i; }));
    }
    for (size_t i = 0; i < plan_.clients.size(); ++i) {
      result.clients.push_back(
          group(plan_.clients[i], request::ServiceClass::kStandard,
                [i](const Outcome& outcome) { return outcome.client_index == i; }));
    }
    return result;
  }

  template <typename Belongs>
  GroupResult group(const std::string& name, request::ServiceClass service_class,
                    const Belongs& belongs) const {
    const schedule::ServiceTarget target =
        options_.core.scheduler.targets[static_cast<size_t>(service_class)];
    std::vector<double> ttft;
    std::vector<double> tpot;
    int64_t generated = 0;
    double end_s = 0.0;
    for (const Outcome& outcome : outcomes_) {
      if (!belongs(outcome)) continue;
      end_s = std::max(end_s, outcome.end_s);
      ttft.push_back(static_cast<double>(outcome.ttft_s));
      if (outcome.tpot_s >= 0.0f) tpot.push_back(static_cast<double>(outcome.tpot_s));
      generated += outcome.generated;
    }
    GroupResult result;
    result.name = name;
    result.requests = static_cast<int64_t>(ttft.size());
    if (ttft.empty()) return result;
    const auto met = [](const std::vector<double>& values, double limit) {
      if (values.empty()) return 1.0;
      return static_cast<double>(
                 std::ranges::count_if(values, [limit](double value) { return value <= limit; })) /
             static_cast<double>(values.size());
    };
    std::ranges::sort(ttft);
    std::ranges::sort(tpot);
    result.ttft_p50_s = load::percentile(ttft, 50);
    result.ttft_p99_s = load::percentile(ttft, 99);
    result.tpot_p50_s = load::percentile(tpot, 50);
    result.longest_wait_s = ttft.back();
    result.met_ttft = met(ttft, target.ttft_s);
    result.met_tpot = met(tpot, target.tpot_s);
    result.tokens_per_s = static_cast<double>(generated) / end_s;
    return result;
  }

  const load::Plan& plan_;
  const SimulationOptions& options_;
  ManualClock clock_;
  engine::SimulatedModel model_;
  std::unique_ptr<token::Tokenizer> tokenizer_ = engine::simulated_tokenizer();
  ThreadPool pool_{1};
  MetricRegistry registry_;
  engine::EngineMetrics metrics_{registry_, "simulated"};
  std::vector<Outcome> outcomes_;
  int64_t finished_ = 0;
  int64_t peak_waiting_ = 0;
  // The engine holds its sinks by shared pointers; this one owns nothing.
  std::shared_ptr<request::EventSink> self_{std::shared_ptr<void>(), this};
  engine::EngineCore core_;
  TimePoint start_;
};

}  // namespace

Result<SimulationResult> simulate(const load::Plan& plan, const SimulationOptions& options) {
  if (plan.conversations.empty()) return fail(Fault::kInvalid, "the plan has no requests");
  const engine::CoreConfig& core = options.core;
  if (kv::pages_for(core.max_model_len) > core.kv_page_count) {
    return fail_field("kv-pages", "{} pages do not hold max-model-len {}, which takes {}",
                      core.kv_page_count, core.max_model_len, kv::pages_for(core.max_model_len));
  }
  return Player(plan, options).play();
}

}  // namespace inferno::app
