#include "app/bench_serve.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/json.hpp>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "app/bench_serve_options.h"
#include "load/server_models.h"

namespace inferno::app {
namespace {

namespace json = boost::json;

// As many connections as the system lets one process have.
void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void print_progress(const load::Progress& progress) {
  fmt::print(stderr, "\r\033[K{:.0f} s: {}/{} done, {} running, {} failed, {:.1f} tok/s",
             progress.elapsed_s, progress.ended_count, progress.planned_count,
             progress.running_count, progress.failed_count,
             static_cast<double>(progress.output_tokens) / std::max(progress.elapsed_s, 1e-3));
  std::fflush(stderr);
}

// The first signal ends the run under way, so that what was measured is printed; the second one
// ends the process.
class Interruption {
 public:
  explicit Interruption(boost::asio::io_context& io) : signals_(io, SIGINT, SIGTERM) {
    signals_.async_wait([this](boost::system::error_code error, int) {
      if (error) return;
      signals_.clear();
      is_interrupted_ = true;
      if (running_ != nullptr) running_->stop();
    });
  }

  void run(load::Runner& runner) {
    if (is_interrupted_) return;
    running_ = &runner;
    runner.run();
    running_ = nullptr;
  }

 private:
  boost::asio::signal_set signals_;
  load::Runner* running_ = nullptr;
  bool is_interrupted_ = false;
};

// The first request, several times; the first failure ends the whole.
Result<void> warm_up(boost::asio::io_context& io, Interruption& interruption, const Bench& bench) {
  if (bench.warmup_count == 0) return {};
  load::Plan plan = bench.plan;
  load::Conversation first = plan.conversations.front();
  first.at_s = 0.0;
  first.turns.resize(1);
  plan.conversations.assign(static_cast<size_t>(bench.warmup_count), first);
  load::RunOptions options = bench.run;
  options.on_progress = nullptr;
  options.duration_s = 0.0;
  load::Runner runner(io, plan, options);
  interruption.run(runner);
  for (const load::RequestRecord& record : runner.records()) {
    if (!record.is_completed()) return fail(Fault::kPeerGone, "warm-up: {}", record.error);
  }
  return {};
}

std::string timestamp() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  return fmt::format("{:04}{:02}{:02}-{:02}{:02}{:02}", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string result_path(const BenchServeOptions& o, const load::ReportOptions& report) {
  std::string name = o.result_filename;
  if (name.empty()) {
    const std::string concurrency =
        report.max_concurrency > 0 ? fmt::format("-concurrency{}", report.max_concurrency) : "";
    name = fmt::format("{}-{}qps{}-{}-{}.json", report.backend, report.request_rate, concurrency,
                       std::filesystem::path(report.model).filename().string(), report.date);
  }
  return (std::filesystem::path(o.result_dir) / name).string();
}

Result<void> write_json(const std::string& path, const json::object& object) {
  const std::string text = json::serialize(object) + "\n";
  if (path == "-") {
    fmt::print("{}", text);
    return {};
  }
  std::ofstream file(path);
  file << text;
  if (!file.flush()) return fail(Fault::kInvalid, "cannot write {}", path);
  return {};
}

// Prints and saves. The exit code.
int give_results(const BenchServeOptions& o, const load::RunResult& run,
                 const load::ReportOptions& report) {
  if (o.output_json != "-") fmt::print("{}", load::table_of(run, report));
  std::vector<std::string> paths;
  if (!o.output_json.empty()) paths.push_back(o.output_json);
  if (o.saves_result) paths.push_back(result_path(o, report));
  for (const std::string& path : paths) {
    const auto written = write_json(path, load::json_of(run, report));
    if (!written) return app::report("bench serve", written.error());
  }
  const bool has_success = std::ranges::any_of(run.records, &load::RequestRecord::is_completed);
  return has_success ? 0 : 1;
}

int bench_serve(BenchServeOptions& o) {
  auto made = bench_of(o);
  if (!made) {
    app::report("bench serve", made.error());
    return 2;
  }
  Bench& bench = *made;
  raise_file_limit();
  boost::asio::io_context io(1);
  if (o.model.empty()) {
    auto model = load::first_model(io, bench.run.url, bench.run.headers);
    if (!model) return app::report("bench serve", model.error());
    o.model = std::move(*model);
  }
  bench.run.body.model = bench.report.model = o.model;
  Interruption interruption(io);
  if (auto warm = warm_up(io, interruption, bench); !warm) {
    return app::report("bench serve", warm.error());
  }
  const bool shows_progress = !o.prints_no_progress && ::isatty(STDERR_FILENO) == 1;
  if (shows_progress) bench.run.on_progress = print_progress;
  bench.report.date = timestamp();

  load::Runner runner(io, bench.plan, bench.run);
  interruption.run(runner);
  if (shows_progress) fmt::print(stderr, "\r\033[K");
  load::RunResult run{.records = runner.records(),
                      .figures = bench.figures,
                      .clients = bench.plan.clients,
                      .unsent_count = runner.unsent_count()};
  run.figures.duration_s = runner.duration_s();
  return give_results(o, run, bench.report);
}

}  // namespace

int run_bench_serve(int argc, char** argv) {
  CLI::App app;
  BenchServeOptions options;
  prepare(app, "bench serve",
          "Sends load to an OpenAI-compatible server and measures its answers; options and figures "
          "are those of vllm bench serve.");
  add_bench_serve_options(app, options);
  if (const auto code = parse(app, argc, argv)) return *code;
  return bench_serve(options);
}

}  // namespace inferno::app
