// One request inside the engine: its sequence, how its tokens are chosen, its text so far, who is
// told.
//
// Threads: belongs to the engine thread.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "engine/answer_text.h"
#include "request/generator.h"
#include "sample/sampler.h"
#include "schedule/sequence.h"

namespace inferno::engine {

struct ActiveRequest {
  using Clock = std::chrono::steady_clock;

  ActiveRequest(request::Request taken, std::shared_ptr<request::EventSink> events,
                const token::Tokenizer& tokenizer, int max_tokens)
      : request(std::move(taken)),
        sink(std::move(events)),
        sequence(request.id, std::move(request.prompt),
                 token::root_hash({.salt = request.cache_salt, .adapter = {}}), max_tokens),
        text(tokenizer, request.sampling) {}

  int generated_count() const { return sequence.token_count() - sequence.prompt_count; }

  request::Request request;  // its prompt has moved into the sequence
  std::shared_ptr<request::EventSink> sink;
  schedule::Sequence sequence;
  AnswerText text;
  std::optional<sample::SamplingState> sampling;
  std::vector<request::TokenOutput>
      prompt_outputs;         // as far as scored; only when prompt_logprobs was set
  request::TokenOutput next;  // chosen in this step
  std::optional<Clock::time_point> first_scheduled;
  std::optional<Clock::time_point> first_token;
};

}  // namespace inferno::engine
