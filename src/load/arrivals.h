// When the requests of a load arrive: an open loop that no answer holds up.
//
// Gaps are gamma distributed with shape `burstiness`: 1 is a Poisson process, less comes in bursts,
// more is more even. The rate is met exactly, as `vllm bench serve` does it: the whole sequence is
// stretched so that the last request comes at count / rate.
//
// Threads: a pure function of its arguments.
#pragma once

#include <limits>
#include <vector>

#include "load/random.h"

namespace inferno::load {

struct ArrivalProcess {
  double rate_per_s = std::numeric_limits<double>::infinity();  // > 0; infinity: all at once
  double burstiness = 1.0;                                      // > 0
};

// Seconds from the start at which each of `count` requests arrives, ascending.
std::vector<double> arrival_times(const ArrivalProcess& process, size_t count, Random random);

}  // namespace inferno::load
