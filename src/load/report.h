// A run's figures as a table for people and as JSON for programs, both with vLLM's names.
//
// Threads: pure functions.
#pragma once

#include <boost/json/fwd.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "load/plan.h"
#include "load/record.h"
#include "load/summary.h"

namespace inferno::load {

struct ReportOptions {
  std::string date;      // "20260131-235959"
  std::string backend;   // "openai" or "openai-chat"
  std::string endpoint;  // "/v1/completions"
  std::string model;
  double request_rate = 0.0;  // infinity: all at once, or as recorded
  double burstiness = 1.0;
  int max_concurrency = 0;   // 0: no limit
  bool is_detailed = false;  // JSON lists every request
  std::vector<Metric> metrics{Metric::kTtft, Metric::kTpot, Metric::kItl};
  std::vector<std::pair<std::string, std::string>> metadata;  // copied into the JSON
};

// What a run left behind.
struct RunResult {
  std::span<const RequestRecord> records;
  SummaryOptions figures;            // its duration is the run's
  std::vector<std::string> clients;  // names of RequestRecord::client_index
  size_t unsent_count = 0;
};

// The whole table, with one line for each class and each client where there are some, and the
// failures with an example of each kind.
std::string table_of(const RunResult& run, const ReportOptions& options);

// One object: vLLM's fields, then "classes", "clients", "failures" and "send_lag_ms".
boost::json::object json_of(const RunResult& run, const ReportOptions& options);

}  // namespace inferno::load
