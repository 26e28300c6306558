// inferno run MODEL PROMPT: one answer on stdout.
#include <boost/json.hpp>
#include <cmath>
#include <csignal>
#include <limits>

#include "app/answer.h"
#include "app/command.h"
#include "app/local_model.h"
#include "app/prompt.h"

namespace inferno::app {
namespace {

struct RunOptions {
  EngineOptions engine;
  std::string prompt;
  SamplingOptions sampling;
  bool is_raw = false;
  bool prints_json = false;
};

boost::json::object json_of(const Answer& answer) {
  boost::json::array ids;
  boost::json::array logprobs;
  for (const request::TokenOutput& token : answer.tokens) {
    ids.emplace_back(token.token);
    logprobs.emplace_back(token.logprob);
  }
  const double decode_s = answer.stats.decode_s;
  const int later_tokens = answer.stats.generated_tokens - 1;
  return {{"text", answer.text},
          {"ids", std::move(ids)},
          {"logprobs", std::move(logprobs)},
          {"finish_reason", request::name_of(answer.finish)},
          {"timings",
           {{"prompt_tokens", answer.stats.prompt_tokens},
            {"cached_tokens", answer.stats.cached_tokens},
            {"generated_tokens", answer.stats.generated_tokens},
            {"queue_s", answer.stats.queue_s},
            {"prefill_s", answer.stats.prefill_s},
            {"decode_s", decode_s},
            {"decode_tokens_per_s", decode_s > 0.0 ? later_tokens / decode_s : 0.0}}}};
}

}  // namespace

int run_run(int argc, char** argv) {
  CLI::App app;
  RunOptions options;
  options.engine.max_num_seqs = 1;
  prepare(app, "run", "Answers one prompt and exits.");
  add_engine_options(app, options.engine);
  app.add_option("prompt", options.prompt, "what to answer or to continue")->required();
  add_sampling_options(app, options.sampling);
  app.add_flag("--raw", options.is_raw, "continue the text as it is, without the chat template");
  app.add_flag("--json", options.prints_json, "print text, ids, logprobs and timings as JSON");
  if (const auto code = parse(app, argc, argv)) return *code;

  MetricRegistry metrics;
  auto model = LocalModel::load(options.engine, metrics, LocalModel::Progress::kSilent);
  if (!model) return report("run", model.error());
  request::Request request;
  auto prompt = options.is_raw || (*model)->chat_template() == nullptr
                    ? Result<std::vector<TokenId>>((*model)->tokenizer().encode(
                          options.prompt, {.add_special = true, .parse_special = true}))
                    : chat_prompt(**model, {{{"role", "user"}, {"content", options.prompt}}});
  if (!prompt) return report("run", prompt.error());
  request.prompt = std::move(*prompt);
  request.sampling =
      sampling_of(options.sampling, generation_defaults(options.sampling, options.engine.model));
  if (options.prints_json) request.sampling.logprobs = 0;
  auto answer = generate((*model)->engine(), std::move(request), [&](const std::string& piece) {
    if (!options.prints_json) {
      std::fwrite(piece.data(), 1, piece.size(), stdout);
      std::fflush(stdout);
    }
    return true;
  });
  if (!answer) return report("run", answer.error());
  if (options.prints_json) {
    fmt::print("{}\n", boost::json::serialize(json_of(*answer)));
  } else {
    fmt::print("\n");
  }
  return 0;
}

}  // namespace inferno::app
