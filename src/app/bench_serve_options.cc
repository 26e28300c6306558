#include "app/bench_serve_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <limits>
#include <string_view>
#include <utility>

namespace inferno::app {
namespace {

namespace json = boost::json;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

void add_address_options(CLI::App& app, BenchServeOptions& o) {
  app.add_option("--base-url", o.base_url, "http://HOST:PORT[/PATH]; instead of --host and --port");
  app.add_option("--host", o.host, "the server's name or address")->capture_default_str();
  app.add_option("--port", o.port, "the server's port")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  app.add_option("--backend", o.backend, "openai: completions; openai-chat: chat completions")
      ->check(CLI::IsMember({"openai", "openai-chat", "vllm"}))
      ->capture_default_str();
  app.add_option("--endpoint", o.endpoint,
                 "path of the requests; default: /v1/completions, or /v1/chat/completions");
  app.add_option("--model", o.model, "default: the first one that /v1/models names");
  app.add_option("--api-key", o.api_key, "sent as Authorization: Bearer KEY")
      ->envname("OPENAI_API_KEY");
  app.add_option("--header", o.headers, "further headers, each NAME=VALUE");
  app.add_option("--timeout", o.run.timeout_s, "seconds of each request")
      ->check(CLI::Range(0.001, 86400.0))
      ->capture_default_str();
}

void add_dataset_options(CLI::App& app, BenchServeOptions& o) {
  load::DatasetOptions& d = o.dataset;
  const auto tokens = CLI::Range(0, 1 << 24);
  app.add_option("--dataset-name", o.dataset_name,
                 "random, prefix_repetition, multi-turn, prompt, custom or trace")
      ->capture_default_str();
  app.add_option("--dataset-path", d.path,
                 "file: JSONL with \"prompt\" (custom), Mooncake JSONL or Azure CSV (trace)");
  app.add_option("--prompt", d.prompt, "one prompt for all requests; --dataset-name prompt");
  app.add_option("--num-prompts", o.request_count, "requests; default: 1000, or all rows of a file")
      ->check(CLI::Range(1, 100'000'000));
  app.add_option("--input-len", o.input_len, "tokens of each prompt, for every random dataset")
      ->check(tokens);
  app.add_option("--output-len", o.output_len, "tokens of each answer, for every dataset but trace")
      ->check(tokens);
  app.add_option("--random-input-len", d.input_tokens, "tokens of a prompt or turn, mean")
      ->check(tokens)
      ->capture_default_str();
  app.add_option("--random-output-len", d.output_tokens, "tokens of an answer, mean")
      ->check(tokens)
      ->capture_default_str();
  app.add_option("--random-prefix-len", d.prefix_tokens, "tokens that all prompts begin with")
      ->check(tokens)
      ->capture_default_str();
  app.add_option("--random-range-ratio", d.range_ratio,
                 "lengths are uniform in mean * (1 - R) to mean * (1 + R)")
      ->capture_default_str();
  app.add_option("--prefix-repetition-prefix-len", d.repeated_prefix_tokens, "tokens")
      ->check(tokens)
      ->capture_default_str();
  app.add_option("--prefix-repetition-suffix-len", d.repeated_suffix_tokens, "tokens")
      ->check(tokens)
      ->capture_default_str();
  app.add_option("--prefix-repetition-num-prefixes", d.repeated_prefix_count, "different prefixes")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--prefix-repetition-output-len", d.repeated_output_tokens, "tokens")
      ->check(tokens)
      ->capture_default_str();
  app.add_option("--multi-turn-turns", d.turn_count, "requests of a conversation")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--multi-turn-think-time", d.mean_think_s,
                 "mean seconds between an answer and the next turn (exponential)")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
}

void add_trace_options(CLI::App& app, BenchServeOptions& o) {
  load::DatasetOptions& d = o.dataset;
  app.add_option("--time-scale", d.time_scale,
                 "trace: arrival times are multiplied by this; 0.1 is ten times as fast")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  app.add_option("--max-input-len", d.max_input_tokens,
                 "trace: its longest prompt shrinks to this, all others in proportion")
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--max-output-len", d.max_output_tokens, "trace: the same for answers")
      ->check(CLI::Range(1, 1 << 24));
}

void add_body_options(CLI::App& app, BenchServeOptions& o) {
  app.add_option("--prompt-format", o.prompt_format,
                 "ids: token ids; text; auto: ids for completions, messages for a chat")
      ->check(CLI::IsMember({"auto", "ids", "text"}))
      ->capture_default_str();
  app.add_option("--vocab-size", o.vocab_size,
                 "token ids are drawn from the upper seven eighths of this")
      ->check(CLI::Range(8, 1 << 24))
      ->capture_default_str();
  app.add_flag("--ignore-eos", o.body.ignore_eos, "answers have their full length");
  for (const char* name : {"temperature", "top-p", "min-p", "frequency-penalty", "presence-penalty",
                           "repetition-penalty"}) {
    std::string field = name;
    std::ranges::replace(field, '-', '_');
    app.add_option_function<double>(
        std::string("--") + name, [&o, field](double value) { o.sampling[field] = value; },
        "sent as it is; default: not sent");
  }
  for (const char* name : {"top-k", "logprobs"}) {
    std::string field = name;
    std::ranges::replace(field, '-', '_');
    app.add_option_function<int>(
        std::string("--") + name, [&o, field](int value) { o.sampling[field] = value; },
        "sent as it is; default: not sent");
  }
  app.add_option("--extra-body", o.extra_body, "JSON object whose fields every request gets");
}

void add_traffic_options(CLI::App& app, BenchServeOptions& o) {
  app.add_option("--request-rate", o.request_rate,
                 "requests (conversations, if they have turns) a second, or inf; default: as "
                 "recorded for a trace, else inf: all at once");
  app.add_option("--burstiness", o.burstiness,
                 "shape of the gamma distributed gaps; 1: Poisson, less: in bursts")
      ->capture_default_str();
  app.add_option("--max-concurrency", o.run.max_concurrency,
                 "requests (conversations) in progress at once, at most")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--num-warmups", o.warmup_count, "requests before the run, not measured")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  app.add_option("--duration", o.run.duration_s, "seconds after which nothing more is sent")
      ->check(CLI::Range(0.001, 1e7));
  app.add_option("--seed", o.seed, "of prompts, lengths, arrivals, classes and clients")
      ->capture_default_str();
  app.add_option("--mix", o.mix, "service classes and weights: interactive:0.3,batch:0.7");
  app.add_option("--clients", o.client_count, "accounts that send (field user)");
  app.add_option("--greedy-client", o.greedy_factor,
                 "client-0 sends this many times what each other one does, on top of the others")
      ->capture_default_str();
  app.add_option("--retry-429", o.run.max_retries,
                 "tries again after status 429 and its Retry-After, at most so often")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
}

void add_output_options(CLI::App& app, BenchServeOptions& o) {
  app.add_option("--goodput", o.goodput,
                 "targets in ms that a good request meets: ttft:200 tpot:50 e2el:9000, or for one "
                 "class interactive.ttft:200");
  app.add_option("--percentile-metrics", o.percentile_metrics, "of ttft, tpot, itl, e2el")
      ->capture_default_str();
  app.add_option("--metric-percentiles", o.metric_percentiles, "such as 50,90,99")
      ->capture_default_str();
  app.add_flag("--save-result", o.saves_result, "writes JSON under a name made of the settings");
  app.add_flag("--save-detailed", o.saves_details, "lists every request in the JSON");
  app.add_option("--result-dir", o.result_dir, "folder of --save-result");
  app.add_option("--result-filename", o.result_filename, "name of --save-result");
  app.add_option("--output-json", o.output_json, "writes JSON to this file; -: stdout, no table");
  app.add_option("--metadata", o.metadata, "NAME=VALUE pairs copied into the JSON");
  app.add_flag("--disable-tqdm,--no-progress", o.prints_no_progress, "no line of progress");
}

Result<std::pair<std::string, std::string>> parse_pair(std::string_view option,
                                                       const std::string& text) {
  const size_t end = text.find('=');
  if (end == std::string::npos || end == 0) {
    return fail_field(option, "{}: '{}' is not NAME=VALUE", option, text);
  }
  return std::pair(text.substr(0, end), text.substr(end + 1));
}

bool is_header_name(std::string_view name) {
  return std::ranges::all_of(name, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || std::string_view("-_").contains(c);
  });
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

Result<double> parse_number(std::string_view option, const std::string& text) {
  size_t used = 0;
  double value = 0.0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == 0 || used != text.size()) {
    return fail_field(option, "{}: '{}' is not a number", option, text);
  }
  return value;
}

Result<std::vector<double>> parse_percents(const std::string& text) {
  std::vector<double> out;
  for (const std::string& part : split(text)) {
    const auto value = parse_number("metric-percentiles", part);
    if (!value) return std::unexpected(value.error());
    if (!(*value >= 0.0 && *value <= 100.0)) {
      return fail_field("metric-percentiles", "metric-percentiles: {} is not 0 to 100", *value);
    }
    out.push_back(*value);
  }
  return out;
}

Result<std::vector<load::Metric>> parse_metrics(const std::string& text) {
  std::vector<load::Metric> out;
  for (const std::string& part : split(text)) {
    const auto metric = load::metric_named(part);
    if (!metric) {
      return fail_field("percentile-metrics",
                        "percentile-metrics: '{}' must be ttft, tpot, itl or e2el", part);
    }
    out.push_back(*metric);
  }
  return out;
}

Result<load::Plan> plan_of(BenchServeOptions& o, double& rate) {
  if (!o.dataset.prompt.empty()) o.dataset_name = "prompt";
  const auto kind = load::dataset_named(o.dataset_name);
  if (!kind) return std::unexpected(kind.error());
  o.dataset.kind = *kind;
  if (o.request_count > 0) o.dataset.request_count = o.request_count;
  if (o.input_len > 0) o.dataset.input_tokens = o.input_len;
  if (o.output_len > 0) {
    o.dataset.output_tokens = o.output_len;
    o.dataset.prompt_output_tokens = o.output_len;
    o.dataset.repeated_output_tokens = o.output_len;
  }
  load::TrafficOptions traffic;
  traffic.burstiness = o.burstiness;
  traffic.client_count = o.client_count;
  traffic.greedy_factor = o.greedy_factor;
  traffic.seed = o.seed;
  rate = kInfinity;
  if (!o.request_rate.empty()) {
    const auto given = parse_number("request-rate", o.request_rate);
    if (!given) return std::unexpected(given.error());
    traffic.rate_per_s = rate = *given;
  }
  auto mix = load::parse_mix(o.mix);
  if (!mix) return std::unexpected(mix.error());
  traffic.mix = std::move(*mix);
  return load::make_plan(o.dataset, traffic);
}

Result<load::BodyOptions> body_of(const BenchServeOptions& o, load::Api api) {
  load::BodyOptions body = o.body;
  body.form = load::PromptForm::kTokenIds;
  if (o.prompt_format == "text") body.form = load::PromptForm::kText;
  if (api == load::Api::kChat) {
    if (o.prompt_format == "ids") {
      return fail_field("prompt-format", "prompt-format: a chat takes messages, not ids");
    }
    body.form = load::PromptForm::kMessages;
  }
  body.wants_token_ids = o.dataset.kind == load::DatasetKind::kMultiTurn;
  body.extra = o.sampling;
  if (o.extra_body.empty()) return body;
  boost::system::error_code error;
  const json::value extra = json::parse(o.extra_body, error);
  if (error || !extra.is_object()) {
    return fail_field("extra-body", "extra-body: '{}' is not a JSON object", o.extra_body);
  }
  for (const auto& [name, value] : extra.get_object())
    body.extra[name] = value;
  return body;
}

Result<load::RunOptions> run_of(const BenchServeOptions& o) {
  load::RunOptions run = o.run;
  const net::HttpUrl given{.host = o.host, .port = std::to_string(o.port), .path = ""};
  auto url = net::parse_http_url(o.base_url.empty() ? "http://" + given.authority() : o.base_url);
  if (!url) return std::unexpected(url.error());
  run.url = std::move(*url);
  run.api = o.backend == "openai-chat" || o.endpoint.ends_with("/chat/completions")
                ? load::Api::kChat
                : load::Api::kCompletions;
  run.endpoint = !o.endpoint.empty()           ? o.endpoint
                 : run.api == load::Api::kChat ? "/v1/chat/completions"
                                               : "/v1/completions";
  const bool is_odd = std::ranges::any_of(run.endpoint, [](char c) { return c <= ' '; });
  if (!run.endpoint.starts_with('/') || is_odd) {
    return fail_field("endpoint", "endpoint '{}' must begin with '/' and hold no space",
                      run.endpoint);
  }
  if (!o.api_key.empty()) run.headers.push_back({"Authorization", "Bearer " + o.api_key});
  for (const std::string& text : o.headers) {
    auto pair = parse_pair("header", text);
    if (!pair) return std::unexpected(pair.error());
    if (!is_header_name(pair->first)) {
      return fail_field("header", "header: '{}' is not a header's name", pair->first);
    }
    run.headers.push_back({std::move(pair->first), std::move(pair->second)});
  }
  auto body = body_of(o, run.api);
  if (!body) return std::unexpected(body.error());
  run.body = std::move(*body);
  run.vocab_size = o.vocab_size;
  run.seed = o.seed;
  run.keeps_text = o.saves_details;
  return run;
}

Result<void> set_report(const BenchServeOptions& o, Bench& bench) {
  auto percents = parse_percents(o.metric_percentiles);
  if (!percents) return std::unexpected(percents.error());
  bench.figures.percents = std::move(*percents);
  auto metrics = parse_metrics(o.percentile_metrics);
  if (!metrics) return std::unexpected(metrics.error());
  bench.report.metrics = std::move(*metrics);
  for (const std::string& text : o.goodput) {
    auto target = load::parse_target(text);
    if (!target) return std::unexpected(target.error());
    bench.figures.targets.push_back(std::move(*target));
  }
  for (const std::string& text : o.metadata) {
    auto pair = parse_pair("metadata", text);
    if (!pair) return std::unexpected(pair.error());
    bench.report.metadata.push_back(std::move(*pair));
  }
  bench.figures.classes = bench.plan.classes;
  bench.report.backend = o.backend;
  bench.report.endpoint = bench.run.endpoint;
  bench.report.burstiness = o.burstiness;
  bench.report.max_concurrency = bench.run.max_concurrency;
  bench.report.is_detailed = o.saves_details;
  return {};
}

}  // namespace

Result<Bench> bench_of(BenchServeOptions o) {
  Bench bench;
  auto plan = plan_of(o, bench.report.request_rate);
  if (!plan) return std::unexpected(plan.error());
  bench.plan = std::move(*plan);
  auto run = run_of(o);
  if (!run) return std::unexpected(run.error());
  bench.run = std::move(*run);
  bench.warmup_count = o.warmup_count;
  if (auto done = set_report(o, bench); !done) return std::unexpected(done.error());
  return bench;
}

void add_bench_serve_options(CLI::App& app, BenchServeOptions& options) {
  add_address_options(app, options);
  add_dataset_options(app, options);
  add_trace_options(app, options);
  add_body_options(app, options);
  add_traffic_options(app, options);
  add_output_options(app, options);
}

}  // namespace inferno::app
