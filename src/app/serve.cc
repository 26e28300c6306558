// inferno serve MODEL: loads a model and serves it over HTTP until it is told to stop.
//
// SIGTERM or SIGINT while it loads ends it. Later: no new requests, running ones get up to
// --drain-timeout, exit 0; a second signal ends at once.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <semaphore>
#include <thread>

#include "app/command.h"
#include "app/local_model.h"
#include "serve/api_server.h"

namespace inferno::app {
namespace {

struct ServeOptions {
  EngineOptions engine;
  std::string host = "127.0.0.1";
  uint16_t port = 8000;
  std::string port_file;
  std::vector<std::string> served_model_names;
  std::vector<std::string> api_keys;
  double drain_timeout_s = 30.0;
};

void add_serve_options(CLI::App& app, ServeOptions& options) {
  add_engine_options(app, options.engine);
  add_option(app, "--host", options.host, "address to listen on");
  add_option(app, "--port", options.port, "port to listen on; 0: the system chooses");
  add_option(app, "--port-file", options.port_file, "file to write the port to when ready");
  add_option(app, "--served-model-name", options.served_model_names,
             "name in the API; several may be given, answers carry the first")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_option(app, "--api-key", options.api_keys,
             "key that requests under /v1 must bring; may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_option(app, "--drain-timeout", options.drain_timeout_s,
             "seconds that running requests get at the end")
      ->check(CLI::Range(0.0, 86400.0));
}

// Appears whole or not at all: whoever waits for the file reads a complete number.
Result<void> write_port_file(const std::string& path, uint16_t port) {
  if (path.empty()) return {};
  const std::string temporary = path + ".tmp";
  {
    std::ofstream file(temporary);
    file << port << '\n';
    if (!file.flush()) return fail(Fault::kInvalid, "port-file: cannot write {}", temporary);
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    return fail(Fault::kInvalid, "port-file: cannot write {}", path);
  }
  return {};
}

std::string default_name(const EngineOptions& options) {
  const std::filesystem::path path = options.model;
  std::string name =
      path.filename().empty() ? path.parent_path().filename().string() : path.filename().string();
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  return name.empty() ? options.model : name;
}

// Waits for signals from before the model is loaded: while it loads the first one ends the process,
// afterwards the first one asks for an orderly stop and the second one ends it.
// Threads: wait_for_stop() and set_ready() from the main thread.
class StopSignals {
 public:
  // Blocks the signals for this thread and all it starts later. Requires: no other thread runs yet.
  StopSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    std::thread([this] { watch(); }).detach();
  }

  void set_ready() { is_ready_.store(true); }
  void wait_for_stop() { stop_.acquire(); }

 private:
  static constexpr int kEndedBySignal = 130;

  void watch() {
    int signal = 0;
    sigwait(&set_, &signal);
    if (!is_ready_.load()) std::_Exit(kEndedBySignal);
    stop_.release();
    sigwait(&set_, &signal);
    std::_Exit(kEndedBySignal);
  }

  sigset_t set_{};
  std::atomic<bool> is_ready_{false};
  std::binary_semaphore stop_{0};
};

int serve(ServeOptions& options) {
  static StopSignals signals;  // outlives its thread, which ends with the process

  MetricRegistry metrics;
  if (options.served_model_names.empty())
    options.served_model_names.push_back(default_name(options.engine));
  options.engine.served_name = options.served_model_names.front();
  auto model = LocalModel::load(options.engine, metrics, LocalModel::Progress::kShown);
  if (!model) return report("serve", model.error());
  fmt::print(stderr, "{}\n", (*model)->summary());

  serve::ServedModel served;
  served.names = options.served_model_names;
  served.root = options.engine.model;
  served.tokenizer = &(*model)->tokenizer();
  served.chat_template = (*model)->chat_template();
  served.generator = &(*model)->engine();
  served.created = std::chrono::system_clock::now();
  serve::ApiOptions api;
  api.http.host = options.host;
  api.http.port = options.port;
  api.api_keys = options.api_keys;
  auto server = serve::ApiServer::start(std::move(api), {std::move(served)}, metrics);
  if (!server) return report("serve", server.error());
  const uint16_t port = (*server)->port();
  signals.set_ready();
  fmt::print("serving {} on http://{}:{}\n", options.served_model_names.front(), options.host,
             port);
  std::fflush(stdout);
  if (auto written = write_port_file(options.port_file, port); !written) {
    return report("serve", written.error());
  }

  signals.wait_for_stop();
  fmt::print(stderr, "stopping: running requests get up to {} s\n", options.drain_timeout_s);
  (*server)->stop(
      std::chrono::milliseconds(static_cast<int64_t>(options.drain_timeout_s * 1000.0)));
  if (!options.port_file.empty()) std::remove(options.port_file.c_str());
  return 0;
}

}  // namespace

int run_serve(int argc, char** argv) {
  CLI::App app;
  ServeOptions options;
  prepare(
      app, "serve",
      "Serves a model over HTTP: OpenAI's API under /v1, a chat page at /, metrics at /metrics.");
  add_serve_options(app, options);
  if (const auto code = parse(app, argc, argv)) return *code;
  return serve(options);
}

}  // namespace inferno::app
