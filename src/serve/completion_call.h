// The body of POST /v1/completions, checked.
//
// Threads: plain values and pure functions; no I/O, no tokenizer.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <variant>
#include <vector>

#include "serve/call.h"

namespace inferno::serve {

// A prompt as the client gave it: text, or token ids.
using PromptInput = std::variant<std::string, std::vector<TokenId>>;

struct CompletionCall {
  Call call;
  std::vector<PromptInput> prompts;  // 1 to kMaxPrompts
};

// kInvalid with the field at fault.
Result<CompletionCall> read_completion_call(const boost::json::object& body,
                                            const CallLimits& limits);

}  // namespace inferno::serve
