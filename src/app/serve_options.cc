#include "app/serve_options.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "app/model_names.h"
#include "base/sizes.h"

namespace inferno::app {
namespace {

constexpr double kMostSeconds = 365.0 * 86400.0;

void add_flag(CLI::App& app, const std::string& flag, bool& value, const std::string& help) {
  app.add_flag(flag, value, help)->envname(variable_of(flag))->check(check_truth);
}

void add_list(CLI::App& app, const std::string& flag, std::vector<std::string>& values,
              const std::string& help) {
  add_option(app, flag, values, help)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_model_options(CLI::App& app, ServeOptions& options) {
  app.add_option("model,--model", options.models,
                 "what to serve, each MODEL or NAME=MODEL: a GGUF file, a model folder, or a name "
                 "from the cache (smollm2-135m)")
      ->envname("INFERNO_MODEL")
      ->required();
  add_list(app, "--served-model-name", options.served_model_names,
           "name in the API of the only model; several may be given, answers carry the first");
  add_flag(app, "--lazy", options.is_lazy, "load each model at its first request");
  add_option(app, "--idle-unload", options.idle_unload_s,
             "seconds without a request after which a model leaves memory until the next; 0: never")
      ->check(CLI::Range(0.0, kMostSeconds));
  add_option(app, "--model-memory", options.model_memory,
             "memory for all models together (16GiB, 80%); what does not fit is loaded when it is "
             "asked for, in place of the model longest unused")
      ->check([](const std::string& text) {
        const auto bytes = parse_memory(text, kGiB, "model-memory");
        return bytes ? std::string() : bytes.error().message;
      });
  add_option(app, "--model-dir", options.model_dir,
             "folder of models that POST /v1/models/load may name")
      ->check(CLI::ExistingDirectory);
  add_option(app, "--generation-config", options.generation_config,
             "sampling defaults: auto: the model's own; vllm: none")
      ->check(CLI::IsMember({"auto", "vllm"}));
}

void add_server_options(CLI::App& app, ServeOptions& options) {
  add_option(app, "--host", options.host, "address to listen on");
  add_option(app, "--port", options.port, "port to listen on; 0: the system chooses")
      ->check(CLI::Range(0, 65535));
  add_option(app, "--port-file", options.port_file, "file to write the port to when ready");
  add_list(app, "--api-key", options.api_keys,
           "key that requests under /v1 must bring; may be repeated");
  add_option(app, "--admin-key", options.admin_key,
             "key that loading and unloading models needs; without it nobody may");
  add_option(app, "--drain-timeout", options.drain_timeout_s,
             "seconds that running requests get at the end")
      ->check(CLI::Range(0.0, 86400.0));
  add_flag(app, "--deduplicate-requests", options.deduplicate_requests,
           "compute identical deterministic requests in flight once");
  add_option(app, "--idempotency-ttl", options.idempotency_ttl_s,
             "seconds for which an Idempotency-Key gives its answer again")
      ->check(CLI::Range(0.0, 86400.0));
}

std::string default_name(const std::string& model) {
  const std::filesystem::path path = model;
  std::string name =
      path.filename().empty() ? path.parent_path().filename().string() : path.filename().string();
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  return name.empty() ? model : name;
}

// NAME=MODEL; a path that exists is a model whatever signs it holds.
serve::ModelSpec spec_of(const std::string& argument) {
  std::error_code trouble;
  const size_t equals = argument.find('=');
  const bool has_name = equals != std::string::npos && equals > 0 && argument.find('/') > equals &&
                        !std::filesystem::exists(argument, trouble);
  if (!has_name) return {.names = {default_name(argument)}, .source = argument};
  return {.names = {argument.substr(0, equals)}, .source = argument.substr(equals + 1)};
}

}  // namespace

std::optional<int> parse_serve_options(int argc, char** argv, ServeOptions& options) {
  CLI::App app;
  prepare(app, "serve",
          "Serves models over HTTP: OpenAI's API under /v1, a chat page at /, metrics at /metrics. "
          "SIGHUP reads keys and the drain timeout anew.");
  // Other commands take from a file what is theirs; here a key that nobody knows is a slip.
  app.allow_config_extras(CLI::config_extras_mode::error);
  add_model_options(app, options);
  add_runtime_options(app, options.engine);
  add_scheduling_options(app, options.engine.scheduling);
  add_server_options(app, options);
  return parse(app, argc, argv);
}

Result<std::vector<serve::ModelSpec>> model_specs(const ServeOptions& options) {
  std::vector<serve::ModelSpec> specs;
  for (const std::string& argument : options.models) {
    serve::ModelSpec spec = spec_of(argument);
    if (auto path = find_model(spec.source); !path) return std::unexpected(path.error());
    specs.push_back(std::move(spec));
  }
  if (options.served_model_names.empty()) return specs;
  if (specs.size() != 1) {
    return fail_field("served-model-name",
                      "served-model-name names one model, there are {}: write NAME=MODEL",
                      specs.size());
  }
  specs.front().names = options.served_model_names;
  return specs;
}

std::vector<std::string> take_changes(const ServeOptions& from, ServeOptions& to) {
  std::vector<std::string> changed;
  const auto take = [&](const char* name, const auto& next, auto& present) {
    if (next == present) return;
    present = next;
    changed.emplace_back(name);
  };
  take("api-key", from.api_keys, to.api_keys);
  take("admin-key", from.admin_key, to.admin_key);
  take("drain-timeout", from.drain_timeout_s, to.drain_timeout_s);
  return changed;
}

}  // namespace inferno::app
