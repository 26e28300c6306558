#include "app/prompt.h"

#include <charconv>
#include <chrono>
#include <cstdint>

#include "app/model_names.h"

namespace inferno::app {

namespace {

// An option whose default is the model's: help shows none.
template <typename T>
CLI::Option* add_own(CLI::App& app, const std::string& flag, std::optional<T>& value,
                     const std::string& help) {
  return app.add_option(flag, value, help)->envname(variable_of(flag));
}

std::string check_seed(const std::string& text) {
  uint64_t seed = 0;
  const auto [rest, trouble] = std::from_chars(text.data(), text.data() + text.size(), seed);
  const bool is_seed = trouble == std::errc() && rest == text.data() + text.size();
  return is_seed ? std::string()
                 : fmt::format("'{}' is not a whole number from 0 to {}", text, UINT64_MAX);
}

}  // namespace

void add_sampling_options(CLI::App& app, SamplingOptions& options) {
  add_own(app, "--temperature", options.temperature,
          "0: always the most probable token; default of this and the next: the model's, else 1")
      ->check(CLI::Range(0.0, 100.0));
  add_own(app, "--top-p", options.top_p, "least set of tokens with this much probability")
      ->check(CLI::Range(1e-6, 1.0));
  add_own(app, "--top-k", options.top_k,
          "most probable tokens to choose from; 0: all; default: the model's, else 0")
      ->check(CLI::Range(0, 1 << 30));
  add_own(app, "--min-p", options.min_p,
          "least probability, as a share of the most probable token's; default: the model's, "
          "else 0")
      ->check(CLI::Range(0.0, 1.0));
  add_own(app, "--max-tokens", options.max_tokens,
          fmt::format("longest answer in tokens; default: the model's, else {}", kDefaultMaxTokens))
      ->check(CLI::Range(1, 1 << 27));
  add_own(app, "--seed", options.seed, "the same seed gives the same answer")->check(check_seed);
  add_option(app, "--generation-config", options.generation_config,
             "sampling defaults: auto: the model's own; vllm: none")
      ->check(CLI::IsMember({"auto", "vllm"}));
}

request::SamplingParams sampling_of(const SamplingOptions& options,
                                    const GenerationDefaults& defaults) {
  request::SamplingParams sampling = defaults.sampling;
  sampling.temperature = options.temperature.value_or(sampling.temperature);
  sampling.top_p = options.top_p.value_or(sampling.top_p);
  sampling.top_k = options.top_k.value_or(sampling.top_k);
  sampling.min_p = options.min_p.value_or(sampling.min_p);
  sampling.max_tokens =
      options.max_tokens.value_or(defaults.max_tokens.value_or(kDefaultMaxTokens));
  sampling.seed = options.seed;
  return sampling;
}

GenerationDefaults generation_defaults(const SamplingOptions& options, const std::string& model) {
  const auto path = find_model(model);
  if (options.generation_config != "auto" || !path) return {};
  GenerationDefaults defaults = read_generation_defaults(*path);
  for (const std::string& warning : defaults.warnings)
    fmt::print(stderr, "warning: {}\n", warning);
  return defaults;
}

Result<std::vector<TokenId>> chat_prompt(const LocalModel& model, boost::json::array messages) {
  token::ChatTemplate::Input input;
  input.messages = std::move(messages);
  input.add_generation_prompt = true;
  input.now = std::chrono::system_clock::now();
  auto text = model.chat_template()->render(input);
  if (!text) return std::unexpected(text.error());
  return model.tokenizer().encode(*text, {.add_special = false, .parse_special = true});
}

}  // namespace inferno::app
