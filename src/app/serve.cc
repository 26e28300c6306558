// inferno serve MODEL: loads a model and serves it over HTTP until it is told to stop.
//
// SIGTERM or SIGINT: no new requests, running ones get up to --drain-timeout, exit 0. A second
// signal ends at once.
#include <csignal>
#include <cstdio>
#include <fstream>
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
             "name in the API; several may be given, answers carry the first");
  add_option(app, "--api-key", options.api_keys,
             "key that requests under /v1 must bring; may be repeated");
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

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

std::string default_name(const EngineOptions& options) {
  const std::filesystem::path path = options.model;
  std::string name =
      path.filename().empty() ? path.parent_path().filename().string() : path.filename().string();
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  return name.empty() ? options.model : name;
}

int serve(ServeOptions& options) {
  // Blocked before any thread starts, so that only sigwait() below sees them.
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

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
  fmt::print("serving {} on http://{}:{}\n", options.served_model_names.front(), options.host,
             port);
  std::fflush(stdout);
  if (auto written = write_port_file(options.port_file, port); !written) {
    return report("serve", written.error());
  }

  int signal = 0;
  sigwait(&signals, &signal);
  fmt::print(stderr, "stopping: running requests get up to {} s\n", options.drain_timeout_s);
  std::thread impatience([signals] {
    int again = 0;
    sigwait(&signals, &again);
    std::_Exit(130);
  });
  impatience.detach();
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
