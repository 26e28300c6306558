// inferno serve MODEL...: serves models over HTTP until it is told to stop.
//
//   listen (health says loading) --> load --> ready: "serving NAME on http://...", the port file
//   SIGHUP    keys and drain timeout are read anew; a wrong file changes nothing
//   SIGTERM   while it loads: ends it. Later: no new requests, running ones get up to
//             --drain-timeout, exit 0; a second signal ends at once
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "app/command.h"
#include "app/local_model_loader.h"
#include "app/serve_options.h"
#include "app/signals.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/memory_tracker.h"
#include "serve/api_server.h"

namespace inferno::app {
namespace {

// The arguments of the command, kept to be read again.
struct Arguments {
  int count;
  char** values;
};

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000.0));
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

// Removes a file that a server left which was killed: it would name a port where nobody answers. A
// path that cannot be written is refused here, before models are loaded.
Result<void> clear_port_file(const std::string& path) {
  if (path.empty()) return {};
  std::remove(path.c_str());
  const std::string temporary = path + ".tmp";
  const bool can_write = std::ofstream(temporary).is_open();
  std::remove(temporary.c_str());
  if (!can_write) return fail(Fault::kInvalid, "port-file: cannot write {}", temporary);
  return {};
}

Result<serve::RegistryOptions> registry_options(const ServeOptions& options) {
  serve::RegistryOptions registry;
  registry.is_lazy = options.is_lazy;
  if (options.idle_unload_s > 0.0) registry.idle_unload_s = options.idle_unload_s;
  if (!options.model_memory.empty()) {
    auto bytes = parse_memory(options.model_memory, available_memory_bytes(), "model-memory");
    if (!bytes) return std::unexpected(bytes.error());
    registry.memory_budget_bytes = *bytes;
  }
  return registry;
}

serve::ApiOptions api_options(const ServeOptions& options) {
  serve::ApiOptions api;
  api.http.host = options.host;
  api.http.port = options.port;
  api.api_keys = options.api_keys;
  api.admin_key = options.admin_key;
  api.deduplicate_requests = options.deduplicate_requests;
  api.idempotency_ttl = milliseconds_of(options.idempotency_ttl_s);
  return api;
}

// Says what the operator should know. A reader of stderr that has gone, or a full disk behind it,
// does not end the server.
void tell(const std::string& text) noexcept {
  try {
    fmt::print(stderr, "{}\n", text);
  } catch (const std::exception&) {
    return;
  }
}

// Reads the configuration again. What is wrong is said, and nothing changes then.
void reload(const Arguments& arguments, ServeOptions& options, serve::ApiServer& server) {
  ServeOptions next;
  if (parse_serve_options(arguments.count, arguments.values, next)) {
    tell("reload refused: the configuration is wrong, nothing has changed");
    return;
  }
  if (auto taken = server.set_keys({.api_keys = next.api_keys, .admin_key = next.admin_key});
      !taken) {
    tell(fmt::format("reload refused: {}, nothing has changed", taken.error().message));
    return;
  }
  const std::vector<std::string> changed = take_changes(next, options);
  tell(fmt::format("reloaded: {}", changed.empty() ? "nothing has changed"
                                                   : fmt::format("{}", fmt::join(changed, ", "))));
}

// Answers signals until the server is to stop, then lets it drain.
void run_until_stopped(const Arguments& arguments, ServeOptions& options, ServerSignals& signals,
                       serve::ApiServer& server) {
  while (signals.next() == ServerSignals::Wish::kReload)
    reload(arguments, options, server);
  tell(fmt::format("stopping: running requests get up to {} s", options.drain_timeout_s));
  server.stop(milliseconds_of(options.drain_timeout_s));
}

int serve_models(const Arguments& arguments, ServeOptions& options, ServerSignals& signals) {
  MetricRegistry metrics;
  const SystemClock clock;
  const auto registry = registry_options(options);
  if (!registry) return report("serve", registry.error());
  if (registry->memory_budget_bytes > 0)
    options.engine.memory_limit_bytes = registry->memory_budget_bytes;
  LocalModelLoader loader({.engine = options.engine,
                           .model_dir = options.model_dir,
                           .uses_generation_config = options.generation_config == "auto"},
                          metrics);
  auto specs = model_specs(options);
  if (!specs) return report("serve", specs.error());
  serve::ModelRegistry models(*registry, &loader, metrics, clock);
  std::string names;
  for (serve::ModelSpec& spec : *specs) {
    names += (names.empty() ? "" : ", ") + spec.names.front();
    if (auto listed = models.list(std::move(spec)); !listed) {
      return report("serve", listed.error());
    }
  }
  if (auto cleared = clear_port_file(options.port_file); !cleared) {
    return report("serve", cleared.error());
  }
  auto server = serve::ApiServer::start(api_options(options), models, metrics);
  if (!server) return report("serve", server.error());
  if (auto loaded = models.load_listed(); !loaded) return report("serve", loaded.error());
  (*server)->set_ready();
  signals.set_ready();
  const uint16_t port = (*server)->port();
  if (auto written = write_port_file(options.port_file, port); !written) {
    return report("serve", written.error());
  }
  fmt::print("serving {} on http://{}:{}\n", names, options.host, port);
  std::fflush(stdout);
  run_until_stopped(arguments, options, signals, **server);
  if (!options.port_file.empty()) std::remove(options.port_file.c_str());
  // A load cannot be broken off; nobody waits for it any more.
  if (models.is_loading()) std::_Exit(0);
  return 0;
}

}  // namespace

int run_serve(int argc, char** argv) {
  ServeOptions options;
  if (const auto code = parse_serve_options(argc, argv, options)) return *code;
  static ServerSignals signals;  // outlives its thread, which ends with the process
  const int code = serve_models({argc, argv}, options, signals);
  report_leaks(process_memory(), stderr);
  return code;
}

}  // namespace inferno::app
