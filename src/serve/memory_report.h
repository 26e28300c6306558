// GET /debug/memory: who holds how much memory, as JSON, all in bytes.
//
//   {"resident": {"now_bytes", "peak_bytes"},
//    "total":  {"now_bytes", "peak_bytes", "block_count", "allocation_count"},
//    "owners": [{"owner", ... as total}, ...],
//    "kv_pages": [{"model_name", "state", "count"}, ...]}
//
// `resident` is what the system counts for the process; owners count what they asked for, touched
// or not. `kv_pages` are the engines' gauges of the last step.
//
// Threads: any.
#pragma once

#include <boost/json/fwd.hpp>

#include "base/memory.h"
#include "base/memory_tracker.h"
#include "base/metrics.h"

namespace inferno::serve {

boost::json::object memory_report(const MemoryTracker& tracker, const ResidentMemory& resident,
                                  const MetricRegistry& metrics);

}  // namespace inferno::serve
