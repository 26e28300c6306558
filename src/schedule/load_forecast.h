// What the scheduler expects of the near future, as plain numbers that the engine hands to the
// threads that take requests: they refuse early what cannot meet its deadline, and tell refused
// clients when to come back.
//
// Everything is predicted from what was measured: a scheduler that has measured nothing predicts no
// wait, so nothing is refused on a guess.
//
// Threads: a value; copy it.
#pragma once

#include <array>

#include "request/request.h"

namespace inferno::schedule {

struct LoadForecast {
  // Seconds until a request of each class (request::ServiceClass) submitted now would be admitted.
  std::array<double, request::kServiceClassCount> start_s{};
  double prefill_tokens_per_s = 0.0;  // measured over steps that prefill; 0: not yet known
  double decode_step_s = 0.0;         // a step of the rows that decode now, without prefill
  double finished_per_s = 0.0;        // measured drain: requests that ended, per busy second
  double tokens_per_s = 0.0;          // measured drain: tokens computed, per busy second
  int queued_requests = 0;            // waiting or deferred
  int64_t queued_tokens = 0;  // of prompts, uncached, and of the answers that those are expected
                              // to have who wait
  int running_requests = 0;
  // Mean length of each class's answers; 0: not yet known.
  std::array<double, request::kServiceClassCount> answer_tokens{};
};

// What a request says about the length of its answer, in tokens.
struct AnswerLimits {
  int least = 1;
  int most = 1;
};

// Tokens that the answer of a request of this class is expected to have: what the class's answers
// have on average, within the request's own limits.
int expected_answer_tokens(const LoadForecast& forecast, request::ServiceClass service_class,
                           const AnswerLimits& limits);

// Seconds from its first token to its last that an answer of `tokens` will hardly stay below: half
// of what they take at the pace of the steps of now, as answers half as long as usual are common,
// and others may end, or guesses come true, meanwhile. 0 where nothing is known.
double least_answer_s(const LoadForecast& forecast, int tokens);

// Seconds from now until a request of `prompt_tokens` uncached tokens and this class would have its
// first token.
double predicted_ttft_s(const LoadForecast& forecast, int prompt_tokens,
                        request::ServiceClass service_class);

// Seconds after which a refused client should try again: when what is queued now will have been
// served, by the measured drain rates of requests and of tokens, whichever is later. At least 1, at
// most 600.
double retry_after_s(const LoadForecast& forecast);

}  // namespace inferno::schedule
