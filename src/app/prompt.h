// What run and chat share: sampling flags, and conversations to tokens.
#pragma once

#include <boost/json/array.hpp>
#include <optional>
#include <vector>

#include "app/local_model.h"
#include "app/options.h"
#include "request/request.h"

namespace inferno::app {

struct SamplingOptions {
  float temperature = 1.0f;
  float top_p = 1.0f;
  int top_k = 0;
  float min_p = 0.0f;
  int max_tokens = 512;
  std::optional<uint64_t> seed;
};

void add_sampling_options(CLI::App& app, SamplingOptions& options);

request::SamplingParams sampling_of(const SamplingOptions& options);

// The tokens of a conversation, up to where the assistant begins to speak. kInvalid with the
// template's own words when it refuses the conversation. Requires: the model has a chat template.
Result<std::vector<TokenId>> chat_prompt(const LocalModel& model, boost::json::array messages);

}  // namespace inferno::app
