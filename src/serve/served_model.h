// A model that the API serves: its names, what turns text into tokens, and what generates.
//
// The parts live as long as `owner`; without one, whoever starts the server keeps them alive until
// it has stopped.
// Threads: read by all I/O threads; its parts are safe for concurrent const use.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "request/generator.h"
#include "serve/serve_metrics.h"

namespace inferno::token {
class ChatTemplate;
class Tokenizer;
}  // namespace inferno::token

namespace inferno::serve {

struct ServedModel {
  std::vector<std::string> names;  // at least one; answers carry the first, requests may use any
  std::string root;  // path or repository it came from, for /v1/models; empty: the first name
  const token::Tokenizer* tokenizer = nullptr;
  const token::ChatTemplate* chat_template =
      nullptr;  // null: chat requests are refused with a reason
  request::Generator* generator = nullptr;
  request::SamplingParams default_sampling;  // what a request that says nothing gets
  // max_tokens of the model's generation configuration; none: OpenAI's defaults (16, or what is
  // left for chat).
  std::optional<int> default_max_tokens;
  // Whether the generator goes by priorities. Where it does not, a request that asks for one is
  // refused, as vLLM has it: it would not get what it asks for.
  bool takes_priority = false;
  SloTargets targets{};  // of each service class, for the metrics of what was met
  std::chrono::system_clock::time_point created{};
  size_t memory_bytes = 0;      // what the parts take, for --model-memory
  std::shared_ptr<void> owner;  // let go last, on a thread that may wait for the engine to end
};

}  // namespace inferno::serve
