// One request inside the engine: its sequence, how its tokens are chosen, its text so far, who is
// told.
//
// It is the sequence that the scheduler hands back, so that nothing has to be looked up in a step.
//
// Threads: belongs to the engine thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "engine/answer_text.h"
#include "engine/draft_proposer.h"
#include "request/generator.h"
#include "sample/sampler.h"
#include "schedule/sequence.h"

namespace inferno::engine {

// What the scheduler needs to know of a request.
inline schedule::SequenceTraits traits_of(const request::Request& request) {
  return {.priority = request.priority,
          .service_class = request.service_class,
          .client = std::hash<std::string>{}(request.client),
          .arrival = request.arrival,
          .deadline = request.deadline,
          .fork_of = request.fork_of,
          .max_new_tokens = request.sampling.max_tokens};
}

struct ActiveRequest final : schedule::Sequence {
  // `most_tokens`: prompt and answer.
  ActiveRequest(request::Request taken, std::shared_ptr<request::EventSink> events,
                const token::Tokenizer& tokenizer, int most_tokens)
      : Sequence(taken.id, std::move(taken.prompt),
                 token::root_hash({.salt = taken.cache_salt, .adapter = {}}), most_tokens,
                 traits_of(taken)),
        request(std::move(taken)),
        sink(std::move(events)),
        text(tokenizer, request.sampling) {}

  request::Request request;  // its prompt has moved into the sequence
  std::shared_ptr<request::EventSink> sink;
  AnswerText text;
  std::optional<sample::SamplingState> sampling;
  std::vector<request::TokenOutput>
      prompt_outputs;                        // as far as scored; only when prompt_logprobs was set
  std::unique_ptr<DraftState> draft_state;   // none: nothing is guessed
  std::vector<request::TokenOutput> chosen;  // in this step: one, and one for each draft that is
                                             // what was chosen
  bool lacks_memory = false;                 // its alternatives could not be told
  std::optional<TimePoint> first_scheduled;
  std::optional<TimePoint> first_token;
};

}  // namespace inferno::engine
