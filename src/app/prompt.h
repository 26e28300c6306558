// What run and chat share: sampling flags, and conversations to tokens.
#pragma once

#include <boost/json/array.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/generation_config.h"
#include "app/local_model.h"
#include "app/options.h"
#include "request/request.h"

namespace inferno::app {

// What is not given is the model's own default.
struct SamplingOptions {
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<int> top_k;
  std::optional<float> min_p;
  std::optional<int> max_tokens;
  std::optional<uint64_t> seed;
  std::string generation_config = "auto";  // as --generation-config of `inferno serve`
};

// An answer's length in tokens when neither the command line nor the model says one.
inline constexpr int kDefaultMaxTokens = 512;

void add_sampling_options(CLI::App& app, SamplingOptions& options);

request::SamplingParams sampling_of(const SamplingOptions& options,
                                    const GenerationDefaults& defaults);

// The defaults of the model that `model` names, as find_model() takes it; what is wrong with them
// is said on stderr. None when the options want none.
GenerationDefaults generation_defaults(const SamplingOptions& options, const std::string& model);

// The tokens of a conversation, up to where the assistant begins to speak. kInvalid with the
// template's own words when it refuses the conversation. Requires: the model has a chat template.
Result<std::vector<TokenId>> chat_prompt(const LocalModel& model, boost::json::array messages);

}  // namespace inferno::app
