#include "app/options.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/placement.h"
#include "base/sizes.h"
#include "base/thread_pool.h"
#include "kernel/isa_detect.h"
#include "kernel/table_proof.h"

namespace inferno::app {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
};
constexpr std::array<Unit, 12> kUnits = {{{"B", 1},
                                          {"KiB", 1024.0},
                                          {"MiB", 1048576.0},
                                          {"GiB", 1073741824.0},
                                          {"TiB", 1099511627776.0},
                                          {"KB", 1e3},
                                          {"MB", 1e6},
                                          {"GB", 1e9},
                                          {"TB", 1e12},
                                          {"K", 1024.0},
                                          {"M", 1048576.0},
                                          {"G", 1073741824.0}}};

// CLI11 lets the file beat the variable. Variables whose flag is not given become flags here, in
// front of the others, so that they beat it. A flag with a name that turns it off has a variable
// for that name too.
void add_variables(const CLI::App& app, std::vector<std::string>& arguments) {
  std::vector<std::string> from_variables;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_envname().empty() || option->get_positional()) continue;
    const bool is_given = std::ranges::any_of(arguments, [&](const std::string& argument) {
      return argument.starts_with("--") &&
             option->check_lname(argument.substr(2, argument.find('=') - 2));
    });
    if (is_given) continue;
    for (const std::string& name : option->get_lnames()) {
      const char* value = std::getenv(variable_of(name).c_str());
      if (value == nullptr || *value == '\0') continue;
      from_variables.push_back(fmt::format("--{}={}", name, value));
    }
  }
  arguments.insert(arguments.begin(), from_variables.begin(), from_variables.end());
}

// What was wrong, after the command's name. Checks that name their option already are not prefixed
// with it once more, and a key that no option has is called that.
std::string failure_text(const CLI::App* app, const CLI::Error& error) {
  std::string what = error.what();
  const size_t colon = what.find(": ");
  if (what.starts_with("--") && colon != std::string::npos) {
    const std::string again = what.substr(2, colon);  // "name: " without its space
    if (what.compare(colon + 2, again.size(), again) == 0) what.erase(2, colon);
  }
  constexpr std::string_view kExtra = "INI was not able to parse ";
  if (what.starts_with(kExtra)) {
    const std::string_view key = std::string_view(what).substr(kExtra.size());
    const size_t section = key.find(".++");  // CLI11's mark of a section's beginning
    what = section == std::string_view::npos
               ? fmt::format("--config: there is no option '{}'", key)
               : fmt::format("--config: there is no section [{}]", key.substr(0, section));
  }
  return fmt::format("{}: {}\n`{} --help` lists the options.\n", app->get_name(), what,
                     app->get_name());
}

}  // namespace

void prepare(CLI::App& app, const char* name, const char* purpose) {
  app.name(fmt::format("inferno {}", name));
  app.description(purpose);
  app.set_config("--config", "", "TOML file with any of these options")->envname("INFERNO_CONFIG");
  app.get_formatter()->column_width(36);
  app.failure_message(failure_text);
}

std::string check_truth(const std::string& text) {
  bool value = false;
  const bool is_flag = CLI::detail::lexical_cast(text, value) &&
                       (text.empty() || !std::isdigit(static_cast<unsigned char>(text.front())) ||
                        text == "0" || text == "1");
  return is_flag ? std::string() : fmt::format("'{}' is not true or false", text);
}

std::string variable_of(const std::string& flag) {
  std::string name = "INFERNO_";
  for (const char c : flag.substr(flag.find_first_not_of('-'))) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

void add_engine_options(CLI::App& app, EngineOptions& options) {
  app.add_option("model,--model", options.model,
                 "a GGUF file, a model folder, or a name from the cache (smollm2-135m)")
      ->envname("INFERNO_MODEL")
      ->required();
  add_runtime_options(app, options);
}

void add_runtime_options(CLI::App& app, EngineOptions& options) {
  add_option(app, "--max-model-len", options.max_model_len,
             "longest prompt plus answer in tokens; 0: what the model is made for")
      ->check(CLI::Range(0, 1 << 27));
  add_option(app, "--max-num-seqs", options.max_num_seqs, "sequences in one step")
      ->check(CLI::Range(1, 4096));
  add_option(app, "--max-num-batched-tokens", options.max_num_batched_tokens, "tokens in one step")
      ->check(CLI::Range(1, 65536));
  add_option(app, "--kv-cache-memory", options.kv_cache_memory,
             "512MiB, 4GiB, or a share of free memory (25%)")
      ->check([](const std::string& text) {
        const auto bytes = parse_memory(text, kGiB);
        return bytes ? std::string() : bytes.error().message;
      });
  add_option(
      app, "--kv-cache-dtype", options.kv_cache_dtype,
      "type of cached keys and values; int8 is half of f16, with a scale per token and head; "
      "auto: f16")
      ->check(CLI::IsMember({"auto", "f32", "f16", "bf16", "int8"}));
  add_option(app, "--quantization", options.quantization,
             "what weights of 16 or 32 bits become at load: q8 (8.5 bits) or q4k (4.5 bits)")
      ->check(CLI::IsMember({"none", "q8", "q4k"}));
  add_option(app, "--threads", options.threads, "compute threads; 0: one per core")
      ->check(CLI::Range(0, 1024));
  add_option(app, "--isa", options.isa, "instruction set of the kernels")
      ->check(CLI::IsMember({"auto", "plain", "avx2", "avx512", "amx"}));
  add_option(app, "--numa", options.numa,
             "off, auto, interleave or node:N: pins compute threads and places large memory; auto "
             "keeps both on one node when the threads fit its cores, else spreads them")
      ->check([](const std::string& text) {
        const auto policy = parse_numa_policy(text);
        return policy ? std::string() : policy.error().message;
      });
  add_option(
      app, "--speculative-config", options.speculative_config,
      "JSON: method (ngram: prompt lookup, draft_model, or off), model (a small one that "
      "guesses), num_speculative_tokens, lengths (measured, or longest: whatever they cost), "
      "prompt_lookup_max, prompt_lookup_min; answers are the same, sooner")
      ->check([](const std::string& text) {
        const auto config = parse_speculative_config(text);
        return config ? std::string() : config.error().message;
      });
  app.add_flag("--enable-prefix-caching,!--no-enable-prefix-caching", options.prefix_caching,
               "reuse the KV of equal prefixes (on by default)")
      ->envname("INFERNO_ENABLE_PREFIX_CACHING")
      ->check(check_truth);
}

void add_scheduling_options(CLI::App& app, SchedulingOptions& options) {
  const auto is_positive = [](const std::string& text) {
    double seconds = 0.0;
    const bool is_number = CLI::detail::lexical_cast(text, seconds);
    return is_number && seconds > 0.0 ? std::string() : text + " is not a time above 0, or inf";
  };
  add_option(app, "--scheduling-policy", options.policy, "who is next")
      ->check(CLI::IsMember({"fcfs", "priority", "slo"}));
  for (int i = 0; i < request::kServiceClassCount; ++i) {
    const std::string name(name_of(static_cast<request::ServiceClass>(i)));
    schedule::ServiceTarget& target = options.config.targets[static_cast<size_t>(i)];
    add_option(app, "--" + name + "-ttft", target.ttft_s,
               "seconds to the first token promised to " + name + " requests; inf: none")
        ->check(is_positive);
    add_option(app, "--" + name + "-tpot", target.tpot_s,
               "seconds a further token promised to " + name + " requests; inf: none")
        ->check(is_positive);
  }
  add_option(app, "--ageing", options.config.ageing_s,
             "seconds after which a request is overtaken no more; inf: never (slo)")
      ->check(is_positive);
  add_option(app, "--max-itl-stretch", options.config.max_itl_stretch,
             "times longer that prompts may make a step of streams without a class, at least 1.25; "
             "drafts give way beside prompts; 0: only the class's target counts")
      ->check(CLI::Range(0.0, 1000.0));
  add_option(app, "--max-queued", options.max_queued,
             "requests taken and not finished; more are refused with 429")
      ->check(CLI::Range(1, 1 << 20));
  add_option(app, "--batch-timeout", options.batch_timeout_s,
             "seconds an idle engine waits for companions of a first request")
      ->check(CLI::Range(0.0, 10.0));
  add_option(app, "--kv-eviction-policy", options.kv_eviction_policy,
             "which cached pages give way to others")
      ->check(CLI::IsMember({"lru", "lfu", "cost"}));
}

schedule::SchedulerConfig scheduler_config(const EngineOptions& options) {
  schedule::SchedulerConfig config = options.scheduling.config;
  config.max_num_seqs = options.max_num_seqs;
  config.max_num_batched_tokens = options.max_num_batched_tokens;
  config.prefix_caching = options.prefix_caching;
  config.policy = schedule::policy_named(options.scheduling.policy).value_or(config.policy);
  return config;
}

std::optional<int> parse(CLI::App& app, int argc, char** argv) {
  // CLI11 takes arguments last first.
  std::vector<std::string> arguments(argv + 1, argv + argc);
  add_variables(app, arguments);
  std::ranges::reverse(arguments);
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  return std::nullopt;
}

Result<size_t> parse_memory(const std::string& text, size_t available_bytes, const char* field) {
  double number = 0.0;
  const auto [rest, trouble] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(rest, static_cast<size_t>(text.data() + text.size() - rest));
  unit.remove_prefix(std::min(unit.find_first_not_of(' '), unit.size()));
  double bytes = -1.0;
  if (trouble == std::errc() && number > 0.0 && std::isfinite(number)) {
    if (unit == "%" && number <= 100.0)
      bytes = number / 100.0 * static_cast<double>(available_bytes);
    if (unit.empty())
      bytes = number <= 1.0 ? number * static_cast<double>(available_bytes) : number;
    for (const Unit& known : kUnits) {
      if (unit == known.name) bytes = number * known.bytes;
    }
  }
  if (bytes < 1.0 || bytes > 1e15) {
    return fail_field(field,
                      "{}: '{}' is not an amount of memory: write 512MiB, 4GiB, or a share such as "
                      "25%",
                      field, text);
  }
  return static_cast<size_t>(bytes);
}

kernel::KvType kv_type_of(const std::string& dtype) {
  for (const auto type : {kernel::KvType::kF32, kernel::KvType::kBF16, kernel::KvType::kInt8}) {
    if (dtype == kernel::name_of(type)) return type;
  }
  return kernel::KvType::kF16;
}

Result<const kernel::KernelTable*> table_of(const std::string& isa) {
  if (isa == "auto") {
    std::string warning;
    const kernel::KernelTable& best = kernel::best_proven_table(warning);
    if (!warning.empty()) fmt::print(stderr, "WARNING: {}", warning);
    return &best;
  }
  for (const auto known : kernel::kIsas) {
    if (isa != kernel::name_of(known)) continue;
    const kernel::KernelTable* table = kernel::table(known);
    if (table == nullptr) {
      const std::string reason =
          known == kernel::Isa::kAmx ? ": " + kernel::amx_obstacle() : std::string();
      return fail_field("isa", "this CPU cannot run the kernels for {}{}", isa, reason);
    }
    const std::string difference =
        kernel::find_difference(*table, *kernel::table(kernel::Isa::kPlain));
    if (difference.empty()) return table;
    return fail_field("isa", "on this machine the kernels for {} give wrong bits in {}", isa,
                      difference);
  }
  return fail_field("isa", "there are no kernels for {} in this build", isa);
}

int report(const char* command, const Error& error) {
  const bool names_field = error.message.find(error.param) != std::string::npos;
  fmt::print(stderr, "inferno {}: {}{}{}\n", command, names_field ? "" : error.param,
             names_field ? "" : ": ", error.message);
  return 1;
}

}  // namespace inferno::app
