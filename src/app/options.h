// Flags that commands share. One definition gives the flag (--max-num-seqs), the key of the TOML
// file that --config names (max-num-seqs) and the environment variable (INFERNO_MAX_NUM_SEQS); a
// flag beats the variable, the variable beats the file.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "app/speculative_config.h"
#include "base/result.h"
#include "kernel/kernels.h"
#include "schedule/scheduler_config.h"

namespace inferno::app {

// What decides which request runs when. Defaults are the scheduler's own.
struct SchedulingOptions {
  schedule::SchedulerConfig config;  // limits of a step are EngineOptions'
  std::string policy{schedule::name_of(config.policy)};
  std::string kv_eviction_policy = "lru";
  int max_queued = 4096;
  double batch_timeout_s = 0.0;
};

// What decides how a model runs, for every command that runs one.
struct EngineOptions {
  std::string model;        // a GGUF file, a folder, or a name from the cache
  std::string served_name;  // label of the model in metrics; empty: the model's own name
  int max_model_len = 0;    // 0: what the model is made for, as far as the KV cache holds it
  int max_num_seqs = 64;
  int max_num_batched_tokens = 512;
  std::string kv_cache_memory = "25%";
  std::string kv_cache_dtype = "auto";  // kv_type_of() says what that is
  std::string quantization = "none";    // of full-precision weights at load: model/weights.h
  int threads = 0;                      // 0: one per core
  std::string isa = "auto";
  bool prefix_caching = true;
  std::string speculative_config{kDefaultSpeculativeConfig};  // app/speculative_config.h
  std::string numa = "off";                                   // base/placement.h
  // What weights, cache and activations of all models together may take (--model-memory).
  size_t memory_limit_bytes = std::numeric_limits<size_t>::max();
  SchedulingOptions scheduling;
};

// A command's parser: its name and purpose, --help, --config.
void prepare(CLI::App& app, const char* name, const char* purpose);

// Adds an option whose variable and TOML key follow from its name ("--port" -> INFERNO_PORT, port).
template <typename T>
CLI::Option* add_option(CLI::App& app, const std::string& flag, T& value, const std::string& help);

// "--max-num-seqs" -> "INFERNO_MAX_NUM_SEQS".
std::string variable_of(const std::string& flag);

// The model and how it runs.
void add_engine_options(CLI::App& app, EngineOptions& options);

// The type of cached keys and values that `dtype` names: f32, f16, bf16, int8; "auto" is f16.
// Requires: the flag allows it; another means f16.
kernel::KvType kv_type_of(const std::string& dtype);

// How a model runs, for a command that names its models in another way.
void add_runtime_options(CLI::App& app, EngineOptions& options);

// Policy, targets of each service class, limits of the queue: for a command with many clients.
void add_scheduling_options(CLI::App& app, SchedulingOptions& options);

// The scheduler's configuration for these options.
schedule::SchedulerConfig scheduler_config(const EngineOptions& options);

// A check for flags: empty when the text is true or false (yes, no, on, off, 1, 0), else what is
// wrong with it.
std::string check_truth(const std::string& text);

// Parses; on --help or a wrong command line prints and returns the exit code to end with.
std::optional<int> parse(CLI::App& app, int argc, char** argv);

// Bytes of "512MiB", "4GiB", "1000000", or of a share ("0.25", "25%") of `available_bytes`. `field`
// is the option at fault in errors.
Result<size_t> parse_memory(const std::string& text, size_t available_bytes,
                            const char* field = "kv-cache-memory");

// The kernel table of --isa, after it has proved itself against the plain one. kInvalid when the
// name is none, this CPU cannot run it, or it gives wrong bits; "auto" then takes the next best one
// and says so on stderr.
Result<const kernel::KernelTable*> table_of(const std::string& isa);

// Prints "inferno COMMAND: MESSAGE" to stderr and returns exit code 1.
int report(const char* command, const Error& error);

template <typename T>
CLI::Option* add_option(CLI::App& app, const std::string& flag, T& value, const std::string& help) {
  return app.add_option(flag, value, help)->envname(variable_of(flag))->capture_default_str();
}

}  // namespace inferno::app
