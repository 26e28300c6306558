// inferno simulate: traffic through the real scheduler and cache in virtual time, for each of some
// policies on the same requests.
#include "app/command.h"
#include "app/options.h"
#include "app/simulation.h"
#include "load/traffic.h"

namespace inferno::app {
namespace {

struct Options {
  load::DatasetOptions dataset;
  load::TrafficOptions traffic;
  SimulationOptions simulation;
  std::string dataset_name = "random";
  std::string mix;
  std::vector<std::string> policies = {"slo"};
  int request_count = 10000;
  double load = 0.0;
};

void add_options(CLI::App& app, Options& o) {
  app.add_option("--dataset-name", o.dataset_name,
                 "random, prefix_repetition, trace (as in bench serve)");
  app.add_option("--dataset-path", o.dataset.path, "file of a trace");
  app.add_option("--num-prompts", o.request_count, "requests; a trace is repeated as needed");
  app.add_option("--random-input-len", o.dataset.input_tokens, "mean prompt tokens");
  app.add_option("--random-output-len", o.dataset.output_tokens, "mean answer tokens");
  app.add_option("--random-range-ratio", o.dataset.range_ratio, "spread of the lengths, [0, 1)");
  app.add_option("--max-input-len", o.dataset.max_input_tokens, "shrink a trace's prompts to this");
  app.add_option("--max-output-len", o.dataset.max_output_tokens, "and its answers to this");
  app.add_option("--mix", o.mix, "service classes: interactive:0.3,batch:0.7");
  app.add_option("--clients", o.traffic.client_count, "client accounts");
  app.add_option("--greedy-client", o.traffic.greedy_factor, "how much more client-0 sends");
  app.add_option(
      "--load", o.load,
      "arrivals as a multiple of what the engine can take, which is measured first, without "
      "what a greedy client sends beyond its share");
  app.add_option("--burstiness", o.traffic.burstiness, "1: Poisson; less: bursts");
  app.add_option("--seed", o.traffic.seed, "of everything random");
  app.add_option("--policies", o.policies, "scheduling policies to compare: slo,fcfs,priority")
      ->delimiter(',');
  schedule::SchedulerConfig& scheduler = o.simulation.core.scheduler;
  app.add_option("--max-num-seqs", scheduler.max_num_seqs)->check(CLI::Range(1, 4096));
  app.add_option("--max-num-batched-tokens", scheduler.max_num_batched_tokens)
      ->check(CLI::Range(1, 65536));
  app.add_option("--max-model-len", o.simulation.core.max_model_len)->check(CLI::Range(2, 1 << 20));
  app.add_option("--kv-pages", o.simulation.core.kv_page_count)->check(CLI::Range(1, 1 << 24));
  engine::StepCost& cost = o.simulation.cost;
  app.add_option("--step-fixed-s", cost.fixed_s, "cost of a step");
  app.add_option("--decode-row-s", cost.decode_row_s, "of a decoding sequence in it");
  app.add_option("--prefill-token-s", cost.prefill_token_s, "of a prompt token in it");
  app.add_option("--kv-position-s", cost.kv_position_s, "of a cached position read");
  app.add_option("--noise", cost.noise, "standard deviation of a step's log time");
  for (CLI::Option* option : app.get_options())
    option->capture_default_str();
}

void print_group(const GroupResult& group) {
  fmt::print("  {:<12} {:>8} {:>9.3f} {:>9.3f} {:>9.4f} {:>9.1f} {:>8.2f} {:>8.2f} {:>10.1f}\n",
             group.name, group.requests, group.ttft_p50_s, group.ttft_p99_s, group.tpot_p50_s,
             group.longest_wait_s, group.met_ttft * 100.0, group.met_tpot * 100.0,
             group.tokens_per_s);
}

void print(const std::string& policy, const SimulationResult& result) {
  fmt::print(
      "policy {}: {} requests, {} steps, {} computed and {} generated tokens in {:.0f} s of "
      "virtual "
      "time ({:.1f} s real)\n  prefix hits {:.2f} %, {} preemptions, at most {} waiting\n",
      policy, result.requests, result.steps, result.computed_tokens, result.generated_tokens,
      result.virtual_s, result.real_s, result.hit_share * 100.0, result.preemptions,
      result.peak_waiting);
  fmt::print("  {:<12} {:>8} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>10}\n", "", "requests",
             "TTFT p50", "TTFT p99", "TPOT p50", "longest", "TTFT met", "TPOT met", "tokens/s");
  for (const GroupResult& group : result.classes)
    print_group(group);
  for (const GroupResult& group : result.clients)
    print_group(group);
  std::fflush(stdout);
}

// Requests a second that the engine completes when all come at once: its capacity for this traffic.
Result<double> measure_capacity(const load::Plan& plan, const SimulationOptions& options) {
  constexpr size_t kSample = 3000;
  load::Plan sample = plan;
  sample.conversations.resize(std::min(sample.conversations.size(), kSample));
  for (load::Conversation& conversation : sample.conversations)
    conversation.at_s = 0.0;
  SimulationOptions once = options;
  once.repeats = 1;
  once.core.scheduler.policy = schedule::Policy::kFcfs;
  auto result = simulate(sample, once);
  if (!result) return std::unexpected(result.error());
  return static_cast<double>(result->requests) / result->virtual_s;
}

Result<void> prepare_plan(Options& options, load::Plan& plan) {
  auto kind = load::dataset_named(options.dataset_name);
  if (!kind) return std::unexpected(kind.error());
  options.dataset.kind = *kind;
  if (*kind != load::DatasetKind::kTrace) options.dataset.request_count = options.request_count;
  if (!options.mix.empty()) {
    auto mix = load::parse_mix(options.mix);
    if (!mix) return std::unexpected(mix.error());
    options.traffic.mix = std::move(*mix);
  }
  if (*kind != load::DatasetKind::kTrace) options.traffic.rate_per_s = 1.0;
  auto made = load::make_plan(options.dataset, options.traffic);
  if (!made) return std::unexpected(made.error());
  plan = std::move(*made);
  if (plan.conversations.empty()) return fail(Fault::kInvalid, "the dataset has no requests");
  const auto rows = static_cast<int>(plan.conversations.size());
  options.simulation.repeats = std::max(1, (options.request_count + rows - 1) / rows);
  options.simulation.seed = options.traffic.seed;
  if (options.load <= 0.0) return {};
  auto capacity = measure_capacity(plan, options.simulation);
  if (!capacity) return std::unexpected(capacity.error());
  // What a greedy client sends beyond its share is not counted: it is the overload to be survived.
  const double rate =
      options.traffic.rate_per_s
          ? *options.traffic.rate_per_s
          : static_cast<double>(rows) / std::max(plan.conversations.back().at_s, 1e-9);
  options.simulation.time_scale = rate / (*capacity * options.load);
  fmt::print("capacity {:.3f} requests/s; load {:.2f} times that\n", *capacity, options.load);
  return {};
}

}  // namespace

int run_simulate(int argc, char** argv) {
  CLI::App app;
  Options options;
  options.simulation.core = {.scheduler = {}, .max_model_len = 8192, .kv_page_count = 16384};
  app.name("inferno simulate");
  app.description(
      "Replays traffic through the real scheduler, pool and prefix cache in virtual time.");
  add_options(app, options);
  if (const auto code = parse(app, argc, argv)) return *code;
  if (auto limits = schedule::check_limits(options.simulation.core.scheduler); !limits)
    return report("simulate", limits.error());
  load::Plan plan;
  if (auto made = prepare_plan(options, plan); !made) return report("simulate", made.error());
  for (const std::string& name : options.policies) {
    const auto policy = schedule::policy_named(name);
    if (!policy) {
      return report(
          "simulate",
          Error{Fault::kInvalid, fmt::format("policies: {} is none of fcfs, priority, slo", name),
                "policies"});
    }
    options.simulation.core.scheduler.policy = *policy;
    auto result = simulate(plan, options.simulation);
    if (!result) return report("simulate", result.error());
    print(name, *result);
  }
  return 0;
}

}  // namespace inferno::app
