// The options of `inferno serve`, and which of them a running server can take anew.
//
// Threads: plain values; parsing is the main thread's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/options.h"
#include "base/result.h"
#include "serve/model_loader.h"

namespace inferno::app {

struct ServeOptions {
  std::vector<std::string> models;  // MODEL or NAME=MODEL
  EngineOptions engine;
  std::string host = "127.0.0.1";
  uint16_t port = 8000;
  std::string port_file;
  std::vector<std::string> served_model_names;
  std::vector<std::string> api_keys;
  std::string admin_key;
  std::string model_dir;
  std::string model_memory;  // as parse_memory() reads it; empty: no limit
  std::string generation_config = "auto";
  bool is_lazy = false;
  double idle_unload_s = 0.0;  // 0: never
  double drain_timeout_s = 30.0;
  bool deduplicate_requests = false;
  double idempotency_ttl_s = 600.0;
};

// Parses the command line with its variables and its --config file. Returns an exit code instead
// after --help or when something is wrong, which is said then.
std::optional<int> parse_serve_options(int argc, char** argv, ServeOptions& options);

// What is to be served: of each model its names and its source. A NAME=MODEL gives its own name,
// --served-model-name names the only model, else the name is the file's or folder's. kInvalid when
// names and models do not go together, kNotFound when a model is not there.
Result<std::vector<serve::ModelSpec>> model_specs(const ServeOptions& options);

// Takes over what can change while a server runs (API keys, admin key, drain timeout) and returns
// the names of the options that did, for the log.
std::vector<std::string> take_changes(const ServeOptions& from, ServeOptions& to);

}  // namespace inferno::app
