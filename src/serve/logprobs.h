// Log probabilities in the three shapes that OpenAI's API and vLLM give them.
//
// Threads: pure functions.
#pragma once

#include <boost/json/fwd.hpp>
#include <span>
#include <string_view>
#include <vector>

#include "request/request.h"

namespace inferno::token {
class Tokenizer;
}

namespace inferno::serve {

// How tokens are spelled.
struct LogprobStyle {
  const token::Tokenizer& tokenizer;
  bool tokens_as_ids = false;  // "token_id:123" instead of the text
};

// The outputs of a prompt's tokens, one for each; the first has nothing before it and so no
// logprob, whatever `given` says of it. `given` may begin with the first or with the second token.
std::vector<request::TokenOutput> prompt_outputs(std::span<const TokenId> prompt,
                                                 std::vector<request::TokenOutput> given);

// Completions: {"tokens", "token_logprobs", "top_logprobs", "text_offset"}, parallel lists that
// grow with each call.
class CompletionLogprobs {
 public:
  explicit CompletionLogprobs(LogprobStyle style) : style_(style) {}

  // Adds the tokens of a prompt, as prompt_outputs() gives them, that is echoed as `text`. A token
  // begins behind the whole characters of `text` that the tokens before it make: one that only
  // completes a character begins where the character does, one that adds no text, such as a BOS,
  // where the next one does.
  void add_prompt(boost::json::object& out, std::span<const request::TokenOutput> outputs,
                  std::string_view text);
  // Adds generated tokens.
  void add(boost::json::object& out, std::span<const request::TokenOutput> outputs);

 private:
  void add_token(boost::json::object& out, const request::TokenOutput& output);

  LogprobStyle style_;
  size_t text_offset_ = 0;  // of the next token, in characters of the choice's text
};

// Chat: {"content": [{"token", "logprob", "bytes", "top_logprobs"}, ...]}.
boost::json::object chat_logprobs(const LogprobStyle& style,
                                  std::span<const request::TokenOutput> outputs);

// vLLM's prompt_logprobs: [null, {"ID": {"logprob", "rank", "decoded_token"}, ...}, ...].
boost::json::array prompt_logprobs(const LogprobStyle& style,
                                   std::span<const request::TokenOutput> outputs);

}  // namespace inferno::serve
