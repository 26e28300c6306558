// A whole engine replayed in virtual time: the real scheduler, pool, cache and step loop, with a
// clock that is moved and a model that only takes time on it (engine/simulated_model.h).
//
//   Plan --arrivals--> EngineCore --events--> one Outcome a request --> SimulationResult
//
// An hour of traffic takes seconds, and the same seed gives the same hour: two policies are
// compared on exactly the same requests.
//
// Invariant: at the end every request has had its last event and no page is in use; a violation is
//            an error of the result, not a guess.
// Threads:   one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/engine_core.h"
#include "engine/simulated_model.h"
#include "load/plan.h"

namespace inferno::app {

struct SimulationOptions {
  engine::CoreConfig core{};
  engine::StepCost cost{};
  uint64_t seed = 0;
  int repeats = 1;  // the plan is played so many times in a row, each time with other prompts
  double time_scale = 1.0;  // arrival times are multiplied by it
};

// What was measured of the requests of one class or one client.
struct GroupResult {
  std::string name;
  int64_t requests = 0;
  double ttft_p50_s = 0.0;
  double ttft_p99_s = 0.0;
  double tpot_p50_s = 0.0;
  double longest_wait_s = 0.0;  // arrival to first token
  double met_ttft = 1.0;        // share of requests within the class's targets
  double met_tpot = 1.0;
  double tokens_per_s = 0.0;  // generated, over the time until the last of these answers
};

struct SimulationResult {
  int64_t requests = 0;
  int64_t steps = 0;
  int64_t generated_tokens = 0;
  int64_t computed_tokens = 0;
  double virtual_s = 0.0;  // until the last answer
  double real_s = 0.0;
  double hit_share = 0.0;  // of prompt tokens
  int64_t preemptions = 0;
  int64_t peak_waiting = 0;
  std::vector<GroupResult> classes;
  std::vector<GroupResult> clients;
};

// Plays the plan to its end. kInvalid when a request of it does not fit max_model_len, kInternal
// when an invariant is broken. Only the first turn of a conversation is played.
Result<SimulationResult> simulate(const load::Plan& plan, const SimulationOptions& options);

}  // namespace inferno::app
