#include "app/prompt.h"

#include <charconv>
#include <chrono>
#include <cstdint>

namespace inferno::app {

void add_sampling_options(CLI::App& app, SamplingOptions& options) {
  add_option(app, "--temperature", options.temperature, "0: always the most probable token")
      ->check(CLI::Range(0.0, 100.0));
  add_option(app, "--top-p", options.top_p, "least set of tokens with this much probability")
      ->check(CLI::Range(1e-6, 1.0));
  add_option(app, "--top-k", options.top_k, "most probable tokens to choose from; 0: all")
      ->check(CLI::Range(0, 1 << 30));
  add_option(app, "--min-p", options.min_p,
             "least probability, as a share of the most probable token's")
      ->check(CLI::Range(0.0, 1.0));
  add_option(app, "--max-tokens", options.max_tokens, "longest answer in tokens")
      ->check(CLI::Range(1, 1 << 27));
  app.add_option("--seed", options.seed, "the same seed gives the same answer")
      ->envname("INFERNO_SEED")
      ->check([](const std::string& text) {
        uint64_t seed = 0;
        const auto [rest, trouble] = std::from_chars(text.data(), text.data() + text.size(), seed);
        const bool is_seed = trouble == std::errc() && rest == text.data() + text.size();
        return is_seed ? std::string()
                       : fmt::format("'{}' is not a whole number from 0 to {}", text, UINT64_MAX);
      });
}

request::SamplingParams sampling_of(const SamplingOptions& options) {
  request::SamplingParams sampling;
  sampling.temperature = options.temperature;
  sampling.top_p = options.top_p;
  sampling.top_k = options.top_k;
  sampling.min_p = options.min_p;
  sampling.max_tokens = options.max_tokens;
  sampling.seed = options.seed;
  return sampling;
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
