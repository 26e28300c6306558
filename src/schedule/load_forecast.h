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
  int64_t queued_tokens = 0;          // their tokens still to be computed before their next one
  int running_requests = 0;
};

// Seconds from now until a request of `prompt_tokens` uncached tokens and this class would have its
// first token.
double predicted_ttft_s(const LoadForecast& forecast, int prompt_tokens,
                        request::ServiceClass service_class);

// Seconds after which a refused client should try again: when what is queued now will have been
// taken, by the measured drain rate. At least 1, at most 600.
double retry_after_s(const LoadForecast& forecast);

}  // namespace inferno::schedule
