// From the records of a run to its figures, by the definitions of `vllm bench serve`.
//
//   TTFT  due -> first chunk                ITL   gaps between chunks, of all requests together
//   E2EL  due -> last chunk                 TPOT  (E2EL - TTFT) / (output tokens - 1), if above 1
//   throughputs: completed requests and their tokens over the duration
//   goodput: completed requests that meet every target, over the duration
//
// One difference: the clock starts when a request was due (record.h), not when it was sent.
//
// Threads: pure functions.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "load/record.h"
#include "load/statistics.h"

namespace inferno::load {

enum class Metric { kTtft, kTpot, kItl, kE2el };

// "ttft", "tpot", "itl", "e2el".
std::string_view name_of(Metric metric);
std::optional<Metric> metric_named(std::string_view name);

// An upper bound that a request must keep to count as good.
struct Target {
  std::string service_class;  // of which it holds; empty: of all without one of their own
  Metric metric = Metric::kTtft;
  double limit_ms = 0.0;
};

// "ttft:200" or, for one service class, "interactive.ttft:200". kInvalid when it is neither; gaps
// (itl) have no target, as they belong to no request.
Result<Target> parse_target(std::string_view text);

struct SummaryOptions {
  double duration_s = 0.0;
  std::vector<double> percents{99.0};
  std::vector<Target> targets;
  std::vector<std::string> classes;  // names of RequestRecord::class_index
};

struct Summary {
  size_t request_count = 0;  // that were sent
  size_t completed_count = 0;
  size_t failed_count = 0;      // neither completed nor unfinished; rejected ones included
  size_t rejected_count = 0;    // status 429
  size_t unfinished_count = 0;  // when the run was stopped
  size_t good_count = 0;        // completed and within all targets
  int64_t retry_count = 0;
  double duration_s = 0.0;

  int64_t input_tokens = 0;  // of completed requests, like the rest
  int64_t output_tokens = 0;
  double peak_output_tokens_per_s = 0.0;  // chunks in the fullest second
  int peak_concurrent = 0;                // requests that touch the fullest second

  Distribution ttft_ms, tpot_ms, itl_ms, e2el_ms;
  Distribution lag_ms;        // from due to sent, of all: this program's own lateness
  Distribution slot_wait_ms;  // for --max-concurrency

  double per_second(double amount) const { return duration_s > 0.0 ? amount / duration_s : 0.0; }
  const Distribution& of(Metric metric) const;
};

// The figures of some records, such as those of one class. Pointers are not null.
Summary summarize(std::span<const RequestRecord* const> records, const SummaryOptions& options);
Summary summarize(std::span<const RequestRecord> records, const SummaryOptions& options);

// True when a completed request meets its class's targets.
bool is_good(const RequestRecord& record, const SummaryOptions& options);

struct FailureGroup {
  size_t count = 0;
  std::string example;  // the first one's message
};

// What did not complete, by kind: "HTTP 400", "timeout", ...
std::map<std::string, FailureGroup> failures_of(std::span<const RequestRecord> records);

}  // namespace inferno::load
