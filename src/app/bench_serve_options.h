// The command line of `inferno bench serve`: vllm bench serve's names where it has one.
//
//   BenchServeOptions (as written) --bench_of--> Bench (checked: the plan, the run, the report)
//
// Threads: plain values and pure functions; datasets are read from files.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "app/options.h"
#include "load/report.h"
#include "load/runner.h"
#include "load/traffic.h"

namespace inferno::app {

// The options as they were written.
struct BenchServeOptions {
  std::string base_url;
  std::string host = "127.0.0.1";
  int port = 8000;
  std::string backend = "openai";
  std::string endpoint;
  std::string model;
  std::string api_key;
  std::vector<std::string> headers;

  std::string dataset_name = "random";
  load::DatasetOptions dataset;
  int request_count = 0;
  int input_len = 0;
  int output_len = 0;
  std::string prompt_format = "auto";
  int vocab_size = 256;
  std::string extra_body;
  load::BodyOptions body;
  boost::json::object sampling;

  std::string request_rate;
  double burstiness = 1.0;
  std::string mix;
  int client_count = 0;
  double greedy_factor = 1.0;
  uint64_t seed = 0;
  load::RunOptions run;
  int warmup_count = 0;

  std::vector<std::string> goodput;
  std::string percentile_metrics = "ttft,tpot,itl";
  std::string metric_percentiles = "99";
  bool saves_result = false;
  bool saves_details = false;
  bool prints_no_progress = false;
  std::string output_json;
  std::string result_dir;
  std::string result_filename;
  std::vector<std::string> metadata;
};

// The same checked: what to send, how, and what to tell of it. The model's name is still missing
// when none was given.
struct Bench {
  load::Plan plan;
  load::RunOptions run;
  load::SummaryOptions figures;
  load::ReportOptions report;
  int warmup_count = 0;
};

// Adds every option to the parser. Requires: `options` outlives it.
void add_bench_serve_options(CLI::App& app, BenchServeOptions& options);

// kInvalid, kNotFound or kCorrupt with the option that is wrong.
Result<Bench> bench_of(BenchServeOptions options);

}  // namespace inferno::app
