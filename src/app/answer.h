// One request from a command of the terminal: submits it and hands its events to the calling
// thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

#include "request/generator.h"

namespace inferno::app {

// Everything that came of a request.
struct Answer {
  std::string text;
  std::vector<request::TokenOutput> tokens;
  request::FinishReason finish = request::FinishReason::kError;
  request::RequestStats stats;
};

// Generates and waits. `on_text` is called on this thread with each new piece of text; when it
// returns false the request is cancelled and the answer so far is returned.
Result<Answer> generate(request::Generator& generator, request::Request request,
                        const std::function<bool(const std::string& piece)>& on_text);

}  // namespace inferno::app
