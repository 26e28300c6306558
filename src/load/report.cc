#include "load/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

namespace inferno::load {

namespace json = boost::json;

namespace {

// Width of vLLM's table, and of the names in it.
constexpr int kTableWidth = 50;

std::string_view title_of(Metric metric) {
  switch (metric) {
    case Metric::kTtft:
      return "Time to First Token";
    case Metric::kTpot:
      return "Time per Output Token (excl. 1st token)";
    case Metric::kItl:
      return "Inter-token Latency";
    case Metric::kE2el:
      return "End-to-end Latency";
  }
  return "";
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  });
  return out;
}

void add_line(std::string& out, std::string_view name, double value) {
  out += fmt::format("{:<40} {:<10.2f}\n", name, value);
}
void add_line(std::string& out, std::string_view name, size_t value) {
  out += fmt::format("{:<40} {:<10}\n", name, value);
}

// The records of each index, for one table row each.
std::vector<std::vector<const RequestRecord*>> grouped(std::span<const RequestRecord> records,
                                                       int RequestRecord::* index, size_t count) {
  std::vector<std::vector<const RequestRecord*>> out(count);
  for (const RequestRecord& record : records)
    out[static_cast<size_t>(record.*index)].push_back(&record);
  return out;
}

void add_latencies(std::string& out, const Summary& s, const ReportOptions& options) {
  for (const Metric metric : options.metrics) {
    const Distribution& d = s.of(metric);
    const std::string name = upper(name_of(metric));
    out += fmt::format("{:-^{}}\n", title_of(metric), kTableWidth);
    add_line(out, fmt::format("Mean {} (ms):", name), d.mean);
    add_line(out, fmt::format("Median {} (ms):", name), d.median);
    for (const auto& [percent, value] : d.percentiles)
      add_line(out, fmt::format("P{} {} (ms):", percent_name(percent), name), value);
  }
}

// A row for each class or client.
std::string group_table(std::string_view title, std::span<const std::string> names,
                        std::span<const std::vector<const RequestRecord*>> groups,
                        const SummaryOptions& figures) {
  SummaryOptions options = figures;
  options.percents = {99.0};
  std::string out = fmt::format("\n{:<16} {:>6} {:>6} {:>6} {:>5} {:>6} {:>8} {:>9}  {}\n", title,
                                "sent", "done", "failed", "429", "good%", "req/s", "tok/s",
                                "TTFT p50/p99 ms   TPOT p50/p99 ms   E2EL p50/p99 ms");
  for (size_t i = 0; i < names.size(); ++i) {
    const Summary s = summarize(groups[i], options);
    const double ended = static_cast<double>(s.request_count - s.unfinished_count);
    out += fmt::format(
        "{:<16} {:>6} {:>6} {:>6} {:>5} {:>6.1f} {:>8.2f} {:>9.1f}  "
        "{:>7.1f} {:>8.1f}  {:>7.1f} {:>8.1f}  {:>7.1f} {:>8.1f}\n",
        names[i], s.request_count, s.completed_count, s.failed_count, s.rejected_count,
        ended > 0.0 ? 100.0 * static_cast<double>(s.good_count) / ended : 0.0,
        s.per_second(static_cast<double>(s.completed_count)),
        s.per_second(static_cast<double>(s.output_tokens)), s.ttft_ms.median, s.ttft_ms.at(99.0),
        s.tpot_ms.median, s.tpot_ms.at(99.0), s.e2el_ms.median, s.e2el_ms.at(99.0));
  }
  return out;
}

std::string failure_table(const RunResult& run) {
  std::string out;
  for (const auto& [kind, group] : failures_of(run.records))
    out += fmt::format("{} x {}: {}\n", group.count, kind, group.example);
  return out.empty() ? out : "\nFailures, each with an example:\n" + out;
}

void add_latency_fields(json::object& out, const Summary& s, std::span<const Metric> metrics) {
  for (const Metric metric : metrics) {
    const Distribution& d = s.of(metric);
    const std::string_view name = name_of(metric);
    out[fmt::format("mean_{}_ms", name)] = d.mean;
    out[fmt::format("median_{}_ms", name)] = d.median;
    out[fmt::format("std_{}_ms", name)] = d.deviation;
    for (const auto& [percent, value] : d.percentiles)
      out[fmt::format("p{}_{}_ms", percent_name(percent), name)] = value;
  }
}

void add_figures(json::object& out, const Summary& s, const SummaryOptions& figures) {
  const auto input = static_cast<double>(s.input_tokens);
  const auto output = static_cast<double>(s.output_tokens);
  out["duration"] = s.duration_s;
  out["completed"] = s.completed_count;
  out["failed"] = s.failed_count;
  out["rejected"] = s.rejected_count;
  out["unfinished"] = s.unfinished_count;
  out["retries"] = s.retry_count;
  out["total_input_tokens"] = s.input_tokens;
  out["total_output_tokens"] = s.output_tokens;
  out["request_throughput"] = s.per_second(static_cast<double>(s.completed_count));
  if (figures.targets.empty()) {
    out["request_goodput"] = nullptr;
  } else {
    out["request_goodput"] = s.per_second(static_cast<double>(s.good_count));
    out["good"] = s.good_count;
  }
  out["output_throughput"] = s.per_second(output);
  out["total_token_throughput"] = s.per_second(input + output);
  out["max_output_tokens_per_s"] = s.peak_output_tokens_per_s;
  out["max_concurrent_requests"] = s.peak_concurrent;
}

json::object group_objects(std::span<const std::string> names,
                           std::span<const std::vector<const RequestRecord*>> groups,
                           const SummaryOptions& figures) {
  constexpr std::array kAll = {Metric::kTtft, Metric::kTpot, Metric::kItl, Metric::kE2el};
  json::object out;
  for (size_t i = 0; i < names.size(); ++i) {
    const Summary s = summarize(groups[i], figures);
    json::object group;
    group["num_prompts"] = s.request_count;
    add_figures(group, s, figures);
    add_latency_fields(group, s, kAll);
    out[names[i]] = std::move(group);
  }
  return out;
}

// vLLM's lists, one entry a request.
void add_details(json::object& out, std::span<const RequestRecord> records) {
  json::array input_lens, output_lens, ttfts, itls, texts, errors, start_times, outcomes;
  for (const RequestRecord& record : records) {
    input_lens.emplace_back(record.input_tokens());
    output_lens.emplace_back(record.answer.output_tokens());
    ttfts.emplace_back(record.answer.chunk_count > 0 ? record.ttft_s() : 0.0);
    itls.emplace_back(json::array(record.answer.gaps_s.begin(), record.answer.gaps_s.end()));
    texts.emplace_back(record.answer.text);
    errors.emplace_back(record.error);
    start_times.emplace_back(record.due_s);
    outcomes.emplace_back(record.status);
  }
  out["input_lens"] = std::move(input_lens);
  out["output_lens"] = std::move(output_lens);
  out["ttfts"] = std::move(ttfts);
  out["itls"] = std::move(itls);
  out["generated_texts"] = std::move(texts);
  out["errors"] = std::move(errors);
  out["start_times"] = std::move(start_times);
  out["statuses"] = std::move(outcomes);
}

json::object spread_of(const Distribution& d) {
  json::object out{{"mean", d.mean}, {"median", d.median}};
  for (const auto& [percent, value] : d.percentiles)
    out["p" + percent_name(percent)] = value;
  return out;
}

}  // namespace

std::string table_of(const RunResult& run, const ReportOptions& options) {
  const Summary s = summarize(run.records, run.figures);
  std::string out = fmt::format("{:=^{}}\n", " Serving Benchmark Result ", kTableWidth);
  add_line(out, "Successful requests:", s.completed_count);
  add_line(out, "Failed requests:", s.failed_count);
  if (s.rejected_count > 0) add_line(out, "  of them rejected (429):", s.rejected_count);
  if (s.retry_count > 0) add_line(out, "Retries after 429:", static_cast<size_t>(s.retry_count));
  if (s.unfinished_count > 0) add_line(out, "Unfinished requests:", s.unfinished_count);
  if (run.unsent_count > 0) add_line(out, "Requests not sent:", run.unsent_count);
  if (options.max_concurrency > 0) {
    add_line(out, "Maximum request concurrency:", static_cast<size_t>(options.max_concurrency));
  }
  if (!std::isinf(options.request_rate)) {
    add_line(out, "Request rate configured (RPS):", options.request_rate);
  }
  add_line(out, "Benchmark duration (s):", s.duration_s);
  add_line(out, "Total input tokens:", static_cast<size_t>(s.input_tokens));
  add_line(out, "Total generated tokens:", static_cast<size_t>(s.output_tokens));
  add_line(out,
           "Request throughput (req/s):", s.per_second(static_cast<double>(s.completed_count)));
  if (!run.figures.targets.empty()) {
    add_line(out, "Request goodput (req/s):", s.per_second(static_cast<double>(s.good_count)));
  }
  add_line(out,
           "Output token throughput (tok/s):", s.per_second(static_cast<double>(s.output_tokens)));
  add_line(out, "Peak output token throughput (tok/s):", s.peak_output_tokens_per_s);
  add_line(out, "Peak concurrent requests:", static_cast<double>(s.peak_concurrent));
  add_line(out, "Total token throughput (tok/s):",
           s.per_second(static_cast<double>(s.input_tokens + s.output_tokens)));
  add_latencies(out, s, options);
  out += fmt::format("{:-^{}}\n", "Load Generator", kTableWidth);
  add_line(out, "Mean send lag (ms):", s.lag_ms.mean);
  for (const auto& [percent, value] : s.lag_ms.percentiles)
    add_line(out, fmt::format("P{} send lag (ms):", percent_name(percent)), value);
  if (s.slot_wait_ms.mean > 0.0 && !std::isinf(options.request_rate)) {
    add_line(out, "Mean wait for concurrency (ms):", s.slot_wait_ms.mean);
  }
  out += fmt::format("{:=^{}}\n", "", kTableWidth);
  const auto& classes = run.figures.classes;
  if (!classes.empty()) {
    out +=
        group_table("class", classes,
                    grouped(run.records, &RequestRecord::class_index, classes.size()), run.figures);
  }
  if (!run.clients.empty()) {
    out += group_table("client", run.clients,
                       grouped(run.records, &RequestRecord::client_index, run.clients.size()),
                       run.figures);
  }
  return out + failure_table(run);
}

json::object json_of(const RunResult& run, const ReportOptions& options) {
  const Summary s = summarize(run.records, run.figures);
  json::object out;
  out["date"] = options.date;
  out["backend"] = options.backend;
  out["endpoint_type"] = options.backend;
  out["endpoint"] = options.endpoint;
  out["model_id"] = options.model;
  out["num_prompts"] = s.request_count + run.unsent_count;
  for (const auto& [name, value] : options.metadata)
    out[name] = value;
  // JSON has no infinity; vLLM writes the word.
  out["request_rate"] =
      std::isinf(options.request_rate) ? json::value("inf") : json::value(options.request_rate);
  out["burstiness"] = options.burstiness;
  out["max_concurrency"] =
      options.max_concurrency > 0 ? json::value(options.max_concurrency) : json::value(nullptr);
  add_figures(out, s, run.figures);
  add_latency_fields(out, s, options.metrics);
  out["unsent"] = run.unsent_count;
  out["send_lag_ms"] = spread_of(s.lag_ms);
  out["slot_wait_ms"] = spread_of(s.slot_wait_ms);
  json::object failures;
  for (const auto& [kind, group] : failures_of(run.records))
    failures[kind] = json::object{{"count", group.count}, {"example", group.example}};
  out["failures"] = std::move(failures);
  const auto& classes = run.figures.classes;
  if (!classes.empty()) {
    out["classes"] = group_objects(
        classes, grouped(run.records, &RequestRecord::class_index, classes.size()), run.figures);
  }
  if (!run.clients.empty()) {
    out["clients"] = group_objects(
        run.clients, grouped(run.records, &RequestRecord::client_index, run.clients.size()),
        run.figures);
  }
  if (options.is_detailed) add_details(out, run.records);
  return out;
}

}  // namespace inferno::load
