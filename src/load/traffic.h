// When each conversation of a plan begins, in which service class, and for whose account.
//
//   conversations of dataset.h + arrivals + classes + clients = Plan
//
// Classes and clients are dealt out by exact counts in random order, so that two runs that differ
// only in the scheduler under test, or only in one greedy client, send the others' requests alike.
//
// Threads: pure functions of options and seed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "load/arrivals.h"
#include "load/dataset.h"
#include "load/plan.h"

namespace inferno::load {

struct ClassShare {
  std::string name;
  double weight = 1.0;  // relative to the others
};

// "interactive:0.3,batch:0.7". kInvalid when a name is empty or twice, or a weight is not positive.
Result<std::vector<ClassShare>> parse_mix(std::string_view text);

struct TrafficOptions {
  // None: as recorded for a trace, else all at once. Of conversations, where they have turns.
  std::optional<double> rate_per_s = {};
  double burstiness = 1.0;
  std::vector<ClassShare> mix = {};
  int client_count = 0;        // 0: no accounts
  double greedy_factor = 1.0;  // >= 1: client-0 sends this much more than each other client does
  uint64_t seed = 0;
};

// The plan. The greedy client's surplus comes on top of the dataset's request count and of the
// rate, so that the others send as much as they would without it; a dataset from a file keeps its
// size. kInvalid names an option that is wrong.
Result<Plan> make_plan(DatasetOptions dataset, const TrafficOptions& traffic);

}  // namespace inferno::load
